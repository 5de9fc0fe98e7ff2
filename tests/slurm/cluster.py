"""A real SLURM on this machine for the time of a test: one node, two pretended GPUs, loopback only.

Needs root and the Debian packages ``slurm-wlm`` and ``munge``. Everything lives in one temporary folder and
is taken down by its process ids. ``python tests/slurm/cluster.py`` starts one and waits, for a look by hand.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

#: What must be on PATH.
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
#: Seconds that a client call or a start may take.
PATIENCE = 60
#: The node claims at least so many cores: two GPU jobs and two sleeping ones run side by side.
CPUS = 4
#: And so many MB, so that no request waits for ever on a small machine; the tests use far less.
MEMORY = 16000

CONFIGURATION = """
ClusterName=cislex
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller}
SlurmdPort={daemon}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MinJobAge=3600
InactiveLimit=0
KillWait=5
ReturnToService=2
SchedulerParameters=sched_min_interval=50000,bf_interval=5
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:fake:2
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} Default=NO MaxTime=1-00:00:00 State=UP
"""

GRES = """
AutoDetect=off
Name=gpu Type=fake File=/dev/null
Name=gpu Type=fake File=/dev/zero
"""


def missing() -> str | None:
    """Why no cluster can be started here, or None."""
    if os.geteuid() != 0:
        return "starting SLURM needs root"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (Debian: apt install slurm-wlm munge)"
    return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """Starts munged, slurmctld and slurmd, and stops them."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cislex-slurm-"))
        self.host = socket.gethostname()
        self.started: list[subprocess.Popen[bytes]] = []

    def environment(self) -> dict[str, str]:
        """Environment in which SLURM's commands find this cluster, also inside of its jobs."""
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def __enter__(self) -> Cluster:
        try:
            self._configure()
            self._munge()
            for daemon in (["slurmctld", "-D", "-i"], ["slurmd", "-D"]):
                self._start(daemon)
            self._wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _configure(self) -> None:
        for name in ("state", "spool", "bin", "munge"):
            (self.folder / name).mkdir()
        self.folder.chmod(0o755)
        with open("/proc/meminfo", encoding="ascii") as handle:
            memory = max(MEMORY, int(handle.readline().split()[1]) // 1024 - 1024)
        text = CONFIGURATION.format(
            host=self.host, folder=self.folder, cpus=max(CPUS, os.cpu_count() or 1), memory=memory,
            controller=_free_port(), daemon=_free_port(),
        )  # fmt: skip
        (self.folder / "slurm.conf").write_text(text.lstrip())
        (self.folder / "gres.conf").write_text(GRES.lstrip())
        # The executor's job step removes SLURM_CONF from the environment before it calls srun.
        wrapper = self.folder / "bin" / "srun"
        wrapper.write_text(
            f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {shutil.which("srun")} "$@"\n'
        )
        wrapper.chmod(0o755)

    def _munge(self) -> None:
        place = self.folder / "munge"
        key = place / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        subprocess.run(["chown", "-R", "munge:munge", str(place)], check=True)
        self._start([
            "setpriv", "--reuid", "munge", "--regid", "munge", "--clear-groups",
            "munged", "--force", "--foreground", "--num-threads", "2",
            "--key-file", str(key), "--socket", str(place / "socket"),
            "--pid-file", str(place / "pid"), "--log-file", str(place / "log"),
            "--seed-file", str(place / "seed"),
        ])  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while not (place / "socket").exists():
            if time.monotonic() > deadline:
                raise RuntimeError(f"munged did not start: see {place / 'log'}")
            time.sleep(0.05)
        (self.folder / "munge.socket").symlink_to(place / "socket")

    def _start(self, command: list[str]) -> None:
        with open(self.folder / f"{len(self.started)}.out", "wb") as out:
            self.started.append(
                subprocess.Popen(
                    command, env=self.environment(), stdout=out, stderr=out, start_new_session=True
                )
            )

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.call("sinfo", "--noheader", "--format=%T", check=False).split() != ["idle"]:
            if time.monotonic() > deadline:
                logs = "\n".join(path.read_text()[-2000:] for path in self.folder.glob("slurm*.log"))
                raise RuntimeError(f"SLURM did not become idle:\n{logs}")
            time.sleep(0.2)

    def call(self, *command: str, check: bool = True) -> str:
        """Run a client command and return what it printed."""
        done = subprocess.run(
            command, env=self.environment(), text=True, capture_output=True, timeout=PATIENCE, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def jobs(self, run: str | None = None) -> list[dict[str, str]]:
        """Every job known, or those of one run, finished ones included: id, state, comment, partition."""
        command = ["squeue", "--all", "--noheader", "--states=all", "--sort=i", "--format=%i|%T|%k|%P"]
        text = self.call(*command, *([f"--name={run}"] if run else []))
        names = ("id", "state", "comment", "partition")
        return [dict(zip(names, line.split("|"), strict=True)) for line in text.splitlines()]

    def stop(self) -> None:
        """Cancel jobs, stop the daemons and remove the folder."""
        if len(self.started) == 3:
            self.call("scancel", "--user=root", check=False)
            deadline = time.monotonic() + 10
            while self.call("squeue", "--noheader", check=False).strip() and time.monotonic() < deadline:
                time.sleep(0.2)
        for process in reversed(self.started):
            process.send_signal(signal.SIGTERM)
        for process in reversed(self.started):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def main() -> None:
    """Start a cluster and wait for the end of input."""
    reason = missing()
    if reason:
        raise SystemExit(reason)
    with Cluster() as cluster:
        settings = cluster.environment()
        print(f"export SLURM_CONF={settings['SLURM_CONF']} PATH={cluster.folder / 'bin'}:$PATH")
        print("Enter stops the cluster")
        input()


if __name__ == "__main__":
    main()
