"""The machine under a comparison: what it must have, what it can do at this moment, who else uses it."""

import os
import shutil
import subprocess
import sys
import tempfile
import time

PACKAGES = {"etcd": "etcd-server", "redis-server": "redis-server", "nginx": "nginx", "java": "default-jre-headless"}
ZOOKEEPER_JAR = "/usr/share/java/zookeeper.jar"


def install(programs):
    """Installs the Debian packages of programs that are missing."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    missing = {PACKAGES[program] for program in programs if program != "zookeeper" and not shutil.which(program, path=path)}
    if "zookeeper" in programs and not os.path.exists(ZOOKEEPER_JAR):
        missing.add("libzookeeper-java")
    if not missing:
        return
    print(f"installing {' '.join(sorted(missing))} …", file=sys.stderr)
    root = [] if os.geteuid() == 0 else ["sudo"]
    # Their services are not to be started: a comparison starts its own.
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    subprocess.run([*root, "apt-get", "update", "-qq"], check=True)
    subprocess.run([*root, "apt-get", "install", "-y", "-qq", *sorted(missing)], check=True, env=quiet, stdout=subprocess.DEVNULL)


def calibrate(folder, seconds=0.5):
    """How many 4 KiB appends a second reach the disk, each with an fdatasync."""
    with tempfile.TemporaryFile(dir=folder) as file:
        block, count, begun = os.urandom(4096), 0, time.monotonic()
        while time.monotonic() - begun < seconds:
            os.write(file.fileno(), block)
            os.fdatasync(file.fileno())
            count += 1
        return count / (time.monotonic() - begun)


def calm(patience=20.0, look=0.4, share=0.12):
    """Waits until what the run before has left to be done, such as compactions, is done; not for ever on a busy machine."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        busy, everything = _busy()
        time.sleep(look)
        busy_now, everything_now = _busy()
        if (busy_now - busy) <= share * max(everything_now - everything, 1):
            return


class Others:
    """The share of the processors that others than these processes and our children use, from here on."""

    def __init__(self, pids):
        """`pids`: of servers, whether they are asked or not."""
        self.pids = pids
        self.busy, self.all = _busy()
        self.own = self._own()

    def share(self):
        busy, everything = _busy()
        return max(0.0, busy - self.busy - (self._own() - self.own)) / max(everything - self.all, 1)

    def _own(self):
        return sum(os.times()[:4]) * os.sysconf("SC_CLK_TCK") + ticks(self.pids)


class Bystanders:
    """The share of the processors that servers use which are not asked anything, from here on."""

    def __init__(self, pids):
        self.pids, self.used, self.all = pids, ticks(pids), _busy()[1]

    def share(self):
        return max(0, ticks(self.pids) - self.used) / max(_busy()[1] - self.all, 1)


def ticks(pids):
    """What processes have used so far, in clock ticks."""
    used = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as stat:
                used += sum(map(int, stat.read().rsplit(") ", 1)[1].split()[11:13]))
        except OSError:
            pass
    return used


def sequential_write(folder, size=512 << 20):
    """Bytes a second of one large file, with the fdatasync at its end."""
    with tempfile.TemporaryFile(dir=folder) as file:
        block, begun = os.urandom(1 << 20), time.monotonic()
        for _ in range(size >> 20):
            os.write(file.fileno(), block)
        os.fdatasync(file.fileno())
        return size / (time.monotonic() - begun)


def _busy():
    with open("/proc/stat") as stat:
        fields = [int(field) for field in stat.readline().split()[1:]]
    return sum(fields) - fields[3] - fields[4], sum(fields)

