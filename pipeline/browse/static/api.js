// Questions to the server. Its errors are sentences meant for reading.

/** The JSON answer to a question; throws an Error with the server's own message. */
export async function ask(path, query = {}, signal = undefined) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  let answer;
  try {
    answer = await fetch(`/api/${path}?${new URLSearchParams(given)}`, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer: is `patchwords browse` still running?");
  }
  const told = await answer.json().catch(() => ({ message: `The server answered ${answer.status}.` }));
  if (!answer.ok) throw new Error(told.message ?? `The server answered ${answer.status}.`);
  return told;
}

export const thumbnail = (card) => `/picture/thumbnail/${card.row}?of=${card.sha256}`;
export const picture = (row, image) => `/picture/view/${row}?of=${image.sha256.slice(0, 16)}`;
export const similarity = (phrase, name) => `/picture/similarity?${new URLSearchParams({ phrase, name })}`;
export const overlay = (phrase) => `/picture/overlay?${new URLSearchParams({ phrase })}`;

/** Why a picture did not come. */
export async function whyNot(source) {
  try {
    const answer = await fetch(source);
    return answer.ok ? "The picture cannot be shown by this browser." : (await answer.json()).message;
  } catch {
    return "The server does not answer.";
  }
}
