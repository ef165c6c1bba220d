"""Prefect stays inside the project: its state, its server, and nothing sent outside."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from flows import environment, serve, server
from pipeline.errors import UserError

ROOT = Path(__file__).parents[2]


def test_without_a_server_prefect_is_left_to_its_temporary_one(tmp_path, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    variables = environment.variables(tmp_path)
    assert variables["PREFECT_HOME"] == str(tmp_path / ".prefect")
    assert variables["DO_NOT_TRACK"] == "1"
    assert variables["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert "PREFECT_API_URL" not in variables


def test_a_server_that_has_gone_is_not_waited_for(tmp_path):
    tmp_path.joinpath("server.url").write_text("http://127.0.0.1:9/api\n")
    began = time.monotonic()
    assert environment.running(tmp_path) is None
    assert time.monotonic() - began < 2


def test_a_server_of_the_users_own_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://example.invalid/api")
    assert "PREFECT_API_URL" not in environment.variables(tmp_path)


def test_the_environment_is_set_before_prefect_is_imported():
    program = "import flows, sys, os; print('prefect' in sys.modules, os.environ['PREFECT_HOME'])"
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=variables, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", str(ROOT / ".prefect")]


@pytest.mark.parametrize("port", ["http", "80", "70000"])
def test_a_wrong_port_is_told(tmp_path, monkeypatch, port):
    monkeypatch.setenv(server.PORT_VARIABLE, port)
    with pytest.raises(UserError, match=f"{server.PORT_VARIABLE}: found '{port}'; allowed are ports"):
        server.start(tmp_path)


def test_a_taken_port_is_told(tmp_path, monkeypatch, prefect_server):
    port = prefect_server.split(":")[2].removesuffix("/api")
    monkeypatch.setenv(server.PORT_VARIABLE, port)
    with pytest.raises(UserError, match=rf"Port {port} of 127\.0\.0\.1 is taken"):
        server.start(tmp_path)


def test_a_port_is_taken_by_a_program_too_busy_to_answer_too(tmp_path, monkeypatch):
    (tmp_path / "server.pid").write_text("1")
    with socket.socket() as silent:
        silent.bind((server.HOST, 0))
        monkeypatch.setenv(server.PORT_VARIABLE, str(silent.getsockname()[1]))
        with pytest.raises(UserError, match="is taken"):
            server.start(tmp_path)
    assert (tmp_path / "server.pid").exists()


def test_the_server_answers_on_the_loopback_with_its_state_in_the_project(prefect_server):
    assert prefect_server.startswith("http://127.0.0.1:")
    home = Path(os.environ["PREFECT_HOME"])
    assert (home / "prefect.db").exists()
    assert server.start(home) == prefect_server  # at once: it runs
    with urllib.request.urlopen(f"{prefect_server}/admin/version", timeout=120) as answer:
        assert json.load(answer) == __import__("prefect").__version__


def test_a_process_that_has_a_gone_servers_number_is_let_be(tmp_path):
    # Of another project's, even of Prefect.
    program = [sys.executable, "-c", "import time; time.sleep(600)", "prefect"]
    other = subprocess.Popen(program, env=os.environ | {"PREFECT_HOME": str(tmp_path / "another")})
    try:
        (tmp_path / "server.pid").write_text(str(other.pid))
        (tmp_path / "server.url").write_text("http://127.0.0.1:9/api\n")
        server.stop(tmp_path)
        assert other.poll() is None
        assert list(tmp_path.iterdir()) == []
    finally:
        other.kill()
        other.wait()


def test_the_pages_ask_where_the_user_says_and_else_the_servers_own_port():
    url = "http://127.0.0.1:4321/api"
    assert server.settings(url, {})["PREFECT_SERVER_UI_API_URL"] == url
    for name in ("PREFECT_UI_API_URL", "PREFECT_SERVER_UI_API_URL"):
        given = {name: "https://public.example/api"}
        assert "PREFECT_SERVER_UI_API_URL" not in server.settings(url, given)


def test_workers_for_a_server_that_does_not_answer_are_told_what_to_start(tmp_path, monkeypatch):
    url = "http://127.0.0.1:9/api"  # the discard port, where nothing listens
    monkeypatch.setenv("PREFECT_API_URL", url)
    monkeypatch.setattr(serve.signal, "signal", lambda *_: None)  # ctrl-C stays pytest's
    with pytest.raises(UserError, match=rf"PREFECT_API_URL: found {url}.*the tunnel to it"):
        serve.serve(tmp_path, ("gpu",))
