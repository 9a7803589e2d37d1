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
    """How many 4 KiB appends a second reach the disk, each with an fdatasync, and the share of the processors that others use."""
    busy = _busy()
    time.sleep(seconds / 2)
    others = _share(busy, _busy())
    with tempfile.TemporaryFile(dir=folder) as file:
        block, count, begun = os.urandom(4096), 0, time.monotonic()
        while time.monotonic() - begun < seconds:
            os.write(file.fileno(), block)
            os.fdatasync(file.fileno())
            count += 1
        rate = count / (time.monotonic() - begun)
    return {"fsyncs_per_second": rate, "busy": others}


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


def _share(before, after):
    return (after[0] - before[0]) / max(after[1] - before[1], 1)
