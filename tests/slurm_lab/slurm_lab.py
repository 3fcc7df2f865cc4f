"""A real one-node Slurm on loopback for tests: munged, slurmctld, slurmd, and on request slurmdbd.

No systemd, everything private to one directory, ports of its own. Root or not: as whoever runs the
tests. Sixteen CPUs and four GPUs are declared, whatever the machine has.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from lab_ports import Ports

SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin"
DATABASE_SCRIPTS = Path("/usr/share/mysql")
PATIENT, IMPATIENT = 20, 2
"""Seconds that Slurm's commands wait for a controller that is there, and for one that is away."""

SLURM_CONF = """
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ctld}
SlurmdPort={slurmd}
SrunPortRange={srun}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket={run}/munge.sock,cred_expire=15
CredType=cred/munge
StateSaveLocation={base}/state
SlurmdSpoolDir={base}/spool
SlurmctldPidFile={run}/slurmctld.pid
SlurmdPidFile={run}/slurmd.pid
SlurmctldLogFile={log}/slurmctld.log
SlurmdLogFile={log}/slurmd.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1,bf_min_age_reserve=0,requeue_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
DefMemPerCPU=100
ReturnToService=2
SlurmdTimeout=60
SlurmctldTimeout=10
MessageTimeout={message_timeout}
InactiveLimit=0
KillWait=10
MinJobAge=300
FirstJobId={first_job}
GresTypes=gpu
{accounting}
NodeName={host} NodeAddr=127.0.0.1 CPUs=16 Boards=1 Sockets=1 CoresPerSocket=16 ThreadsPerCore=1 RealMemory=16000 Gres=gpu:a100:4 State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES DefaultTime=00:05:00 MaxTime=00:10:00 State=UP PriorityTier=2
PartitionName=scavenge Nodes=ALL DefaultTime=00:05:00 MaxTime=1-00:00:00 State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL DefaultTime=00:05:00 MaxTime=1-00:00:00 State=UP PriorityTier=3 PreemptMode=OFF
PartitionName=down Nodes=ALL DefaultTime=01:00:00 State=DOWN
"""

SLURMDBD_CONF = """
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={dbd}
SlurmUser={user}
AuthType=auth/munge
AuthInfo=socket={run}/munge.sock
CommunicationParameters=NoInAddrAny
PidFile={run}/slurmdbd.pid
LogFile={log}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm_acct
"""

ACCOUNTING = """AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd}
AccountingStoragePass={run}/munge.sock
AccountingStorageTRES=gres/gpu
AccountingStorageEnforce=associations,limits,qos"""

ACCOUNTING_PROGRAMS = ("slurmdbd", "mariadbd", "sacctmgr")


def missing_programs(*names):
    """Those of `names` that are not installed."""
    return [name for name in names if shutil.which(name, path=SBIN) is None]


class SlurmLab:
    """One Slurm cluster. `environment` is what a client needs to reach it."""

    def __init__(self, *, accounting=False):
        # A short path: sockets may have 108 bytes.
        self.base = Path(tempfile.mkdtemp(prefix="lab"))
        self.accounting = accounting
        self.etc, self.run, self.log = (self.base / name for name in ("etc", "run", "log"))
        self.host = socket.gethostname().split(".")[0]
        self.environment = {"SLURM_CONF": str(self.etc / "slurm.conf")}
        self._children = {}
        self._first_job = 1

    def start(self):
        for name in ("etc", "run", "log", "state", "spool", "db"):
            (self.base / name).mkdir()
        self._write_configuration()
        self._spawn(
            "munged", "--foreground", "--force", f"--key-file={self.etc}/munge.key",
            f"--socket={self.run}/munge.sock", f"--pid-file={self.run}/munged.pid",
            f"--log-file={self.log}/munged.log", f"--seed-file={self.run}/seed", "--num-threads=4",
        )  # fmt: skip
        _until(lambda: _hears(self.run / "munge.sock"), "munged")
        if self.accounting:
            self._start_accounting()
        self.start_slurmd()
        self.start_controller()
        self.wait_until_idle()
        return self

    def start_slurmd(self):
        self._spawn("slurmd", "-D")

    def start_controller(self, *, forget=False):
        """`forget` starts it with no memory of any job, as after the loss of its state.

        No start gives out a number that one before may have given and not written down: a step that
        still tries to tell a controller of its end would make the new job a "Duplicate jobid", for
        which Slurm drains the node.
        """
        self._write_slurm_conf(PATIENT)
        self._spawn("slurmctld", "-D", *(["-c"] if forget else []))
        self._first_job += 10_000
        _until(lambda: _listens(self.ports["ctld"]), "slurmctld")

    def wait_until_idle(self):
        _until(
            lambda: (
                self.client("sinfo", "-h", "-o", "%T").stdout.split()[:1]
                in (["idle"], ["mixed"], ["allocated"])
            ),
            "a node that is up",
        )

    def stop_controller(self, how=signal.SIGKILL):
        self._stop("slurmctld", how)
        self._write_slurm_conf(IMPATIENT)

    def signal_controller(self, number):
        """SIGSTOP freezes it, SIGCONT thaws it."""
        self._write_slurm_conf(IMPATIENT if number == signal.SIGSTOP else PATIENT)
        self._children["slurmctld"].send_signal(number)

    def stop_munge(self):
        self._stop("munged", signal.SIGKILL)
        (self.run / "munge.sock").unlink(missing_ok=True)

    def start_munge(self):
        self._spawn(
            "munged", "--foreground", "--force", f"--key-file={self.etc}/munge.key",
            f"--socket={self.run}/munge.sock", f"--pid-file={self.run}/munged.pid",
            f"--log-file={self.log}/munged.log", f"--seed-file={self.run}/seed", "--num-threads=4",
        )  # fmt: skip
        _until(lambda: _hears(self.run / "munge.sock"), "munged")

    def stop_accounting(self):
        self._stop("slurmdbd", signal.SIGKILL)

    def start_accounting(self):
        self._spawn("slurmdbd", "-D")
        _until(lambda: _listens(self.ports["dbd"]), "slurmdbd")

    def client(self, *command, check=False):
        return subprocess.run(
            command,
            env={**os.environ, "PATH": SBIN, **self.environment},
            capture_output=True,
            text=True,
            timeout=180,
            check=check,
            stdin=subprocess.DEVNULL,
        )

    def clear(self):
        """End all jobs, and wait until the last has gone from the queue."""
        self.client("scancel", "--me")
        self.wait_until_empty()

    def wait_until_empty(self):
        """A job that has been cancelled is listed as completing for a moment."""
        _until(lambda: not self.client("squeue", "-h").stdout.strip(), "jobs to end")

    def stop(self):
        if "slurmctld" in self._children:
            self.client("scancel", "--me")
            with contextlib.suppress(AssertionError):
                _until(lambda: not self.client("squeue", "-h").stdout.strip(), "jobs to end", 10)
        for name in reversed(list(self._children)):
            self._stop(name, signal.SIGTERM)
        self._kill_leftovers()
        self._ports.release()
        shutil.rmtree(self.base, ignore_errors=True)

    def _write_configuration(self):
        self._ports = Ports(104)
        *daemons, srun = (self._ports.numbers[place] for place in (0, 1, 2, 3, 4))
        self.ports = dict(zip(("ctld", "slurmd", "dbd", "database"), daemons, strict=True))
        names = {
            **self.ports, "host": self.host, "user": _user(), "base": self.base, "run": self.run,
            "log": self.log, "password": secrets.token_hex(8),
            "srun": f"{srun}-{srun + 99}",
        }  # fmt: skip
        self._names = names
        self._write_slurm_conf(PATIENT)
        (self.etc / "cgroup.conf").write_text("CgroupAutomount=no\n")
        for number in range(4):
            _make_device(self.run / f"gpu{number}")
        (self.etc / "gres.conf").write_text(
            f"NodeName={self.host} Name=gpu Type=a100 File={self.run}/gpu[0-3]\n"
        )
        _write_secret(self.etc / "munge.key", secrets.token_bytes(1024))
        if self.accounting:
            _write_secret(self.etc / "slurmdbd.conf", SLURMDBD_CONF.format(**names).encode())

    def _write_slurm_conf(self, message_timeout):
        accounting = (
            ACCOUNTING.format(**self._names)
            if self.accounting
            else "AccountingStorageType=accounting_storage/none"
        )
        text = SLURM_CONF.format(
            **self._names,
            accounting=accounting,
            message_timeout=message_timeout,
            first_job=self._first_job,
        )
        new = self.etc / "slurm.conf.new"
        new.write_text(text)
        new.rename(self.etc / "slurm.conf")

    def _start_accounting(self):
        # mariadb-install-db needs a program of another package: the tables are made by hand.
        scripts = ("mysql_system_tables", "mysql_performance_tables", "mysql_system_tables_data")
        text = "CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket='root';\n" + "".join(
            (DATABASE_SCRIPTS / f"{name}.sql").read_text() for name in scripts
        )
        common = ["--no-defaults", f"--user={_user()}", f"--datadir={self.base}/db",
                  "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M", "--skip-log-bin"]  # fmt: skip
        subprocess.run(
            [_program("mariadbd"), *common, "--bootstrap"], input=text, text=True, check=True,
            capture_output=True, timeout=300,
        )  # fmt: skip
        password = self._names["password"]
        lines = ["CREATE DATABASE slurm_acct;"]
        for host in ("127.0.0.1", "localhost"):
            lines.append(f"CREATE USER 'slurm'@'{host}' IDENTIFIED BY '{password}';")
            lines.append(f"GRANT ALL ON slurm_acct.* TO 'slurm'@'{host}';")
        _write_secret(self.etc / "init.sql", "\n".join(lines).encode())
        self._spawn(
            "mariadbd", *common, f"--socket={self.run}/db.sock", "--bind-address=127.0.0.1",
            f"--port={self.ports['database']}", f"--pid-file={self.run}/mariadbd.pid",
            f"--init-file={self.etc}/init.sql", "--innodb-flush-log-at-trx-commit=0",
            "--innodb-lock-wait-timeout=900", "--performance-schema=OFF",
        )  # fmt: skip
        _until(lambda: _listens(self.ports["database"]), "mariadbd")
        self.start_accounting()
        self.client("sacctmgr", "-iQ", "add", "cluster", "lab")
        self.client("sacctmgr", "-iQ", "add", "account", "proj1", "Organization=lab")
        self.client("sacctmgr", "-iQ", "add", "user", _user(), "Account=proj1")

    def _spawn(self, name, *arguments):
        with (self.log / f"{name}.out").open("ab") as out:
            self._children[name] = subprocess.Popen(
                # Whatever ends the tests ends the daemons.
                ["setpriv", "--pdeathsig", "KILL", _program(name), *arguments],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self.base,
                start_new_session=True,
            )

    def _stop(self, name, number):
        child = self._children.pop(name, None)
        if child is None:
            return
        child.send_signal(signal.SIGCONT)
        child.send_signal(number)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _kill_leftovers(self):
        """slurmstepd outlives slurmd: those of ours hold our files open."""
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (process / "comm").read_text().strip() != "slurmstepd":
                    continue
                targets = [os.readlink(link) for link in (process / "fd").iterdir()]
                if any(target.startswith(f"{self.base}/") for target in targets):
                    os.kill(int(process.name), signal.SIGKILL)


def _program(name):
    found = shutil.which(name, path=SBIN)
    assert found, f"{name} is not installed"
    return found


def _user():
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def _make_device(path):
    try:
        os.mknod(path, 0o20666, os.makedev(1, 3))
    except PermissionError:
        path.symlink_to("/dev/null")


def _write_secret(path, content):
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(content)


def _listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _hears(path):
    """Whether somebody listens on a socket: it is there a little before."""
    with socket.socket(socket.AF_UNIX) as caller:
        return caller.connect_ex(str(path)) == 0


def _until(condition, what, seconds=180):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, f"waited {seconds} s for {what}"
        time.sleep(0.05)
