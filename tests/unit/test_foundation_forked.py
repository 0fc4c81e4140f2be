"""Work in copies of this process: each test begins a process of its own, as this one may have threads."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from signoff.foundation.forked import may_fork, processors

LIMIT_S = 60


def ran(code: str) -> str:
    """What a process prints that may be copied."""
    head = "import os, signal, sys\nfrom signoff.foundation.forked import in_processes, may_fork\nlost = []\n"
    done = subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    return done.stdout


def test_results_come_in_the_order_of_the_tasks_each_from_a_process_of_its_own() -> None:
    told = ran(
        """
        assert may_fork()
        made = in_processes([lambda at=at: (at, os.getpid()) for at in range(4)], lost.append)
        print([at for at, _ in made], len({process for _, process in made}), made[0][1] == os.getpid(), lost)
        """
    )
    assert told == "[0, 1, 2, 3] 4 True []\n"


def test_more_than_a_pipe_holds_is_sent() -> None:
    assert ran("print([len(text) for text in in_processes([lambda: 'x' * 3_000_000] * 3, lost.append)])") == (
        "[3000000, 3000000, 3000000]\n"
    )


def test_what_a_process_that_died_was_to_do_is_done_all_the_same_and_told() -> None:
    told = ran(
        """
        own = os.getpid()
        def dies():
            if os.getpid() != own:
                os.kill(os.getpid(), signal.SIGKILL)
            return "done"
        print(in_processes([lambda: "first", dies, lambda: "last"], lost.append), lost)
        """
    )
    assert told == "['first', 'done', 'last'] ['was ended by signal 9']\n"


def test_what_cannot_be_sent_is_made_here() -> None:
    told = ran("print(in_processes([int, lambda: lambda: 3], lost.append)[1](), lost)")
    assert told == "3 ['ended with status 1']\n"


def test_what_a_task_raises_is_raised_and_no_process_is_left() -> None:
    told = ran(
        """
        import time
        def fails():
            raise ValueError("no")
        for tasks in ([fails, lambda: time.sleep(600)], [int, fails, lambda: time.sleep(600)]):
            try:
                in_processes(tasks, lost.append)
            except ValueError as error:
                print(error)
            try:
                os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                print("none is left")
        """
    )
    assert told == "no\nnone is left\nno\nnone is left\n"


def test_a_process_with_threads_is_not_copied() -> None:
    told = ran(
        """
        import threading
        end = threading.Event()
        thread = threading.Thread(target=end.wait)
        thread.start()
        print(may_fork())
        end.set()
        thread.join()
        """
    )
    assert told == "False\n"
    assert isinstance(may_fork(), bool)
    assert processors() >= 1


def test_what_no_process_can_be_had_for_is_done_here_and_nothing_is_left_open() -> None:
    told = ran(
        """
        import resource
        before = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (before + 2, before + 2))
        made = in_processes([os.getpid] * 6, lost.append)
        print(len(made), made.count(os.getpid()) >= 4, set(lost), len(os.listdir("/proc/self/fd")) - before)
        """
    )
    assert told == "6 True {'could not be begun'} 0\n"


def test_a_copy_ends_when_nobody_reads_it_any_more() -> None:
    told = ran(
        """
        read, write = os.pipe()
        owner = os.fork()
        if owner == 0:
            os.close(read)
            def large():
                os.write(write, b"%d " % os.getpid())
                return "x" * 3_000_000
            in_processes([lambda: os.kill(os.getpid(), signal.SIGKILL), large, large], lost.append)
        os.close(write)
        os.waitpid(owner, 0)
        with os.fdopen(read, "rb") as pipe:  # ends when the last copy has ended
            print(len(pipe.read().split()) <= 2)
        """
    )
    assert told == "True\n"


def test_who_is_interrupted_leaves_no_process() -> None:
    told = ran(
        """
        import time
        def slow():
            time.sleep(600)
        def interrupted():
            signal.setitimer(signal.ITIMER_REAL, 0.2)
        def stop(*_):
            raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, stop)
        try:
            in_processes([interrupted, slow, slow], lost.append)
        except KeyboardInterrupt:
            pass
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            print("none is left")
        """
    )
    assert told == "none is left\n"
