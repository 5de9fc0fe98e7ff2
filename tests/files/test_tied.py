"""Programs that jobs start end with the job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
JOB = """
import subprocess, sys
sys.path.insert(0, sys.argv[1])
from cislex.files.tied import tied_command, tied_environment
subprocess.run(tied_command("sleeper", []), env=tied_environment())
"""
SLEEPER = """
import os, time
print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent ended")
def test_a_program_ends_with_the_job_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", JOB, SCRIPTS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as job:
        assert job.stdout is not None
        program = int(job.stdout.readline())
        job.send_signal(signal.SIGKILL)
        job.wait()
        assert job.stdout.read() == "", "the pipe is closed when the program has ended"
    for _ in range(100):  # whoever inherited it may take a moment to wait for it
        status = Path(f"/proc/{program}/stat")
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.01)
    raise AssertionError("the program lives")
