"""A project run on one machine through the command line alone, with the embedded PostgreSQL."""

from __future__ import annotations

import json
import signal
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.api_cases import ASK, COUNT, write_project
from support.cli_cases import Process, remove_data, running, signoff

INPUT = json.dumps(ASK["input"])


class Dev:
    """A running `signoff dev` and its project."""

    def __init__(self, root: Path, process: Process, ready: dict[str, Any]) -> None:
        self.root = root
        self.process = process
        self.url: str = ready["url"]

    def do(self, *arguments: str, code: int = 0, given: str | None = None) -> str:
        """A command's standard output; its exit code is as expected."""
        result = signoff(*arguments, cwd=self.root, given=given)
        assert result.code == code, result
        assert "Traceback" not in result.err
        return result.out

    def fail(self, *arguments: str, code: int) -> str:
        """What a command says on standard error as it fails with that code."""
        result = signoff(*arguments, cwd=self.root)
        assert result.code == code, result
        assert "Traceback" not in result.err
        return result.err

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The API's own answer, for what a test is not about: a process takes its time to start."""
        key = json.loads((self.root / ".signoff" / "dev.json").read_text())["key"]
        headers = {"Authorization": f"Bearer {key}"}
        asked = httpx.request(method, f"{self.url}{path}", json=body, headers=headers, trust_env=False, verify=False)
        return asked.json()

    def until(self, path: str, reached: Callable[[Any], bool]) -> Any:
        """What a path gives once it is as asked for."""
        deadline_s = time.monotonic() + 30
        while not reached(found := self.ask("GET", path)):
            assert time.monotonic() < deadline_s, found
            time.sleep(0.05)
        return found

    def waiting(self, body: Mapping[str, Any] = ASK) -> dict[str, Any]:
        """The review of a new run."""
        run_id = self.ask("POST", "/v1/runs", body)["run_id"]
        return self.until(f"/v1/reviews?run_id={run_id}", lambda page: bool(page["items"]))["items"][0]


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    root = write_project(tmp_path_factory.mktemp("desk"))
    with running("dev", "--port", "0", "--json", cwd=root) as process:
        yield Dev(root, process, json.loads(process.line()))
        assert process.stop() == 0
    # Stopped: the URL is forgotten, so that no command asks whoever takes the port next.
    assert json.loads((root / ".signoff" / "dev.json").read_text())["url"] is None
    remove_data(root)


def test_a_run_is_started_waited_for_and_shown(dev: Dev) -> None:
    out = dev.do("run", "desk/count", "--input", json.dumps(COUNT["input"]), "--wait")
    assert "counted" in out
    assert "\x1b" not in out
    run_id = json.loads(dev.do("runs", "list", "--json", "--workflow", "desk/count").splitlines()[0])["run_id"]
    shown = json.loads(dev.do("runs", "show", run_id, "--json"))
    assert (shown["status"], shown["steps"][0]["step"]) == ("done", "sum")
    assert "run.started" in dev.do("runs", "journal", run_id)
    events = [json.loads(line) for line in dev.do("runs", "journal", run_id, "--json").splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert run_id in dev.do("runs")


def test_input_comes_from_a_file_and_from_standard_input_and_one_key_is_one_run(dev: Dev) -> None:
    (dev.root / "one.json").write_text(INPUT)
    first = dev.do("run", "desk/ask", "-i", "one.json", "--idempotency-key", "k1")
    again = dev.do("run", "desk/ask", "-i", "-", "--idempotency-key", "k1", given=INPUT)
    assert first == again
    assert "desk/count" in dev.fail("run", "desk/cuont", "-i", "one.json", code=3)
    assert "/text" in dev.fail("run", "desk/ask", "-i", "{}", code=1)
    assert "one.txt cannot be read" in dev.fail("run", "desk/ask", "-i", "one.txt", code=2)
    assert "not JSON" in dev.fail("run", "desk/ask", "-i", "{'a'}", code=2)
    assert "with another project, workflow" in dev.fail(
        "run", "desk/ask", "-i", '{"text": "", "cents": 1}', "--idempotency-key", "k1", code=5
    )


def test_a_person_approves_with_an_edit(dev: Dev) -> None:
    review = dev.waiting()
    shown = dev.do("reviews", "show", review["review_id"])
    assert "Pay this?" in shown
    assert "cents = 1250  (editable)" in shown
    assert "My jug broke." in shown
    assert "NAME=VALUE" in dev.fail("reviews", "approve", review["review_id"], "--set", "cents", code=2)
    assert "/values/cents" in dev.fail("reviews", "approve", review["review_id"], "--set", "cents=x", code=1)
    assert "cents=900" in dev.do("reviews", "approve", review["review_id"], "--set", "cents=900", "-r", "half")
    assert "was approved by user/developer" in dev.fail("reviews", "approve", review["review_id"], code=5)


def test_waiting_ends_after_the_time_given_and_says_who_is_waited_for(dev: Dev) -> None:
    result = signoff("run", "desk/ask", "-i", INPUT, "--wait", "--timeout", "2", cwd=dev.root)
    assert result.code == 7
    assert "role/lead" in result.err + result.out


def test_a_person_rejects_with_a_reason(dev: Dev) -> None:
    review = dev.waiting()
    assert "--reason" in dev.fail("reviews", "reject", review["review_id"], code=2)
    decided = json.loads(dev.do("reviews", "reject", review["review_id"], "--reason", "not ours", "--json"))
    assert (decided["status"], decided["reason"]) == ("rejected", "not ours")


def test_a_run_is_cancelled_and_signalled(dev: Dev) -> None:
    review = dev.waiting()
    dev.do("runs", "signal", review["run_id"], "decision", "--data", '{"hello": 1}')
    dev.do("runs", "cancel", review["run_id"], "--reason", "enough")
    assert "no run" in dev.fail("runs", "show", "01a20240-69de-70ad-bf33-6e7424b95543", code=3)


def test_keys_have_roles_and_end(dev: Dev) -> None:
    review = dev.waiting()
    made = json.loads(dev.do("keys", "create", "ana", "--person", "--role", "role/clerk", "--save", "--json"))
    assert made["roles"] == ["clerk"]
    secret = made["key"].rpartition("_")[2]
    assert "role/lead" in dev.fail("reviews", "approve", review["review_id"], "--key", "ana", code=4)
    assert dev.do("runs", "list", "--key", made["key"])
    listed = dev.do("keys", "list")
    assert made["key_id"] in listed
    assert secret not in listed
    dev.do("keys", "revoke", made["key_id"])
    assert "revoked" in dev.fail("runs", "list", "--key", "ana", code=4)
    assert "No key named 'bo'" in dev.fail("runs", "list", "--key", "bo", code=4)
    assert "no role" in dev.fail("keys", "create", "x", "--role", "Lead!", code=1)


def test_a_second_dev_says_where_the_first_one_runs(dev: Dev) -> None:
    assert dev.url in dev.fail("dev", "--port", "0", code=1)


def test_the_developers_key_is_for_the_owner_and_for_this_server_alone(dev: Dev) -> None:
    assert stat.S_IMODE((dev.root / ".signoff" / "dev.json").stat().st_mode) == 0o600
    assert "Which API key" in dev.fail("runs", "list", "--url", "http://127.0.0.1:9", code=4)
    assert "No server answers" in dev.fail("runs", "list", "--url", "http://127.0.0.1:9", "--key", "so_x", code=6)


def test_untrusted_text_does_not_act_on_the_terminal(dev: Dev) -> None:
    hostile = {"text": "\x1b]0;owned\x07\x1b[2K[red]pay[/red] \u202egnp", "cents": 1}
    review = dev.waiting({"workflow": "desk/ask", "input": hostile})
    shown = dev.do("reviews", "show", review["review_id"]) + dev.do("runs", "journal", review["run_id"])
    assert "[red]pay[/red]" in shown
    assert not set("\x1b\x07\u202e") & set(shown)


def test_killed_and_started_again_it_goes_on_where_it_was(tmp_path: Path) -> None:
    root = write_project(tmp_path / "desk")
    with running("dev", "--port", "0", "--json", cwd=root) as process:
        first = Dev(root, process, json.loads(process.line()))
        review = first.waiting()
        key = json.loads((root / ".signoff" / "dev.json").read_text())["key"]
        assert process.stop(signal.SIGKILL) == -signal.SIGKILL
    assert "No server answers" in signoff("runs", cwd=root).err
    with running("dev", "--port", "0", "--json", cwd=root) as process:
        second = Dev(root, process, json.loads(process.line()))
        assert json.loads((root / ".signoff" / "dev.json").read_text())["key"] == key
        second.do("reviews", "approve", review["review_id"])
        second.until(f"/v1/runs/{review['run_id']}", lambda run: run["status"] == "done")
        assert process.stop(signal.SIGTERM) == 0
    assert "does not run" in signoff("runs", cwd=root).err
    remove_data(root)


def test_the_two_planes_meet_only_in_the_database(tmp_path: Path, database_url: str) -> None:
    root = write_project(tmp_path)
    variables = {"SIGNOFF_DATABASE__URL": database_url, "SIGNOFF_API__PORT": "0"}
    assert signoff("deploy", "dev", cwd=root, variables=variables).code == 0
    made = signoff("keys", "create", "ci", "--role", "clerk", cwd=root, variables=variables)
    key = made.out.strip()
    with running("serve", "--json", cwd=root, variables=variables) as server:
        at = ("--url", json.loads(server.line())["url"], "--key", key)
        run_id = signoff("run", "desk/count", "-i", json.dumps(COUNT["input"]), *at, cwd=root).out.strip()
        assert json.loads(signoff("runs", "show", run_id, "--json", *at, cwd=root).out)["status"] == "queued"
        with running("worker", "--json", cwd=root, variables=variables) as worker:
            assert json.loads(worker.line())["ready"] is True
            waited = signoff("run", "desk/count", "-i", json.dumps(COUNT["input"]), "--wait", *at, cwd=root)
            assert "counted" in waited.out
            assert worker.stop(signal.SIGTERM) == 0
        assert server.stop(signal.SIGTERM) == 0
