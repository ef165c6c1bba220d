"""Parsing in several processes: texts go out and phrases come back, so that no spaCy object travels.

spaCy's own ``n_process`` sends whole analysed documents to the parent, which then does little but unpickle,
and forks the process that it runs in, which Prefect's threads do not survive. These workers are joblib's:
begun afresh, each with a language model that it loads once, and kept over a stage's shards.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool

from pipeline.errors import LostProcessError
from pipeline.params import ParseParams
from pipeline.phrases import nlp
from pipeline.phrases.extract import Parsed, extract

# Workers end with the process that began them. Should that be killed, they end when this long without work.
IDLE_SECONDS = 60
# Shards on several threads take turns: an error in one ends the workers of all.
_LOCK = threading.Lock()


def parse_all(texts: Sequence[str], params: ParseParams) -> list[Parsed]:
    """The noun phrases of each text, in order, found by ``params.processes`` processes.

    With one process, and in processes that may have no children (Dask's workers), this one does it.

    Raises:
        UserError: the language model cannot be loaded.
        LostProcessError: a worker was killed. The next call begins new ones.
    """
    if params.processes == 1 or not texts or multiprocessing.current_process().daemon:
        return parse_here(texts, params)
    from joblib import Parallel, delayed

    # No worker goes without, where texts are few.
    size = min(params.batch_size, -(-len(texts) // params.processes))
    chunks = [texts[i : i + size] for i in range(0, len(texts), size)]
    pool = Parallel(params.processes, backend="loky", batch_size=1, idle_worker_timeout=IDLE_SECONDS)
    try:
        with _LOCK:
            found = pool(delayed(parse_here)(chunk, params) for chunk in chunks)
    except BrokenProcessPool as error:
        raise LostProcessError(f"parse.processes (found {params.processes})") from error
    return [parsed for chunk in found for parsed in chunk]


def parse_here(texts: Sequence[str], params: ParseParams) -> list[Parsed]:
    """The noun phrases of each text, in order, found by this process.

    Raises:
        UserError: the language model cannot be loaded.
    """
    return [extract(doc) for doc in nlp.docs(texts, params)]
