"""Three nodes each of Atoll and of the peers, on this machine. A write is acknowledged when it is durable on all three nodes
(Atoll, Redis), or on two of them (etcd, ZooKeeper)."""

import json
import os
import signal
import socket
import subprocess
import time

CLASSPATH = "/usr/share/java/*:/etc/zookeeper/conf"


# All that were begun: nothing of them stays behind, however the comparison ends.
BEGUN = []


def stop_all():
    while BEGUN:
        BEGUN.pop().stop()


class Cluster:
    """Processes that end with the comparison."""

    def __init__(self, folder):
        self.folder = folder
        self.children = []
        os.makedirs(folder)
        BEGUN.append(self)

    def spawn(self, words, name, **more):
        log = open(os.path.join(self.folder, f"{name}.log"), "ab")
        self.children.append(subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder, **more))

    def pids(self):
        return [child.pid for child in self.children]

    def wait(self, ports, host="127.0.0.1", patience=60):
        until = time.monotonic() + patience
        for port in ports:
            while True:
                try:
                    socket.create_connection((host, port), 1).close()
                    break
                except OSError:
                    if time.monotonic() > until:
                        raise SystemExit(f"nobody listens on {host}:{port}: see the logs in {self.folder}")
                    time.sleep(0.1)
        self.check()

    def check(self):
        """Every process lives: who listens there is none that somebody else left behind."""
        for child in self.children:
            if child.poll() is not None:
                raise SystemExit(f"a process of {self.name} has ended with {child.returncode}: see the logs in {self.folder}")

    def stop(self):
        if self in BEGUN:
            BEGUN.remove(self)
        for child in self.children:
            child.send_signal(signal.SIGTERM)
        for child in self.children:
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


class Atoll(Cluster):
    name = "atoll"
    listen = "127.0.4.1"

    def __init__(self, folder, binary):
        super().__init__(folder)
        self.binary = binary
        self.data = os.path.join(folder, "demo")
        self.environment = {**os.environ, "ATOLL_DEMO_DATA": self.data, "ATOLL_CONFIG_DIR": os.path.join(folder, "home")}
        self.spawn([binary, "demo", "--listen", self.listen, "--data", self.data], "demo", env=self.environment)
        self.nodes = self._whole()
        self.run("login")

    def _whole(self, patience=90):
        until = time.monotonic() + patience
        while True:
            told = subprocess.run([self.binary, "demo", "status", "--json"], env=self.environment, capture_output=True)
            nodes = json.loads(told.stdout)["nodes"] if told.stdout else []
            if len(nodes) == 3 and all(node.get("caught_up") for node in nodes):
                return nodes
            if time.monotonic() > until:
                raise SystemExit(f"Atoll does not come up: see {self.folder}/demo.log")
            time.sleep(0.3)

    def run(self, *words):
        done = subprocess.run([self.binary, *words], env=self.environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"atoll {' '.join(words)}: {done.stderr}")
        return done.stdout

    def pids(self):
        """The nodes, and their witnesses."""
        nodes = [node["pid"] for node in self.nodes]
        found = subprocess.run(["pgrep", "-P", ",".join(map(str, nodes))], capture_output=True, text=True)
        return nodes + [int(pid) for pid in found.stdout.split()]

    def target(self):
        return []

    def native(self):
        return ["--native", os.path.join(self.data, "node-1")]

    def s3(self):
        key = json.loads(self.run("key", "create", "bench", "--json"))
        endpoints = ",".join(node["s3"] for node in self.nodes)
        return ["--endpoint", endpoints], {"AWS_ACCESS_KEY_ID": key["id"], "AWS_SECRET_ACCESS_KEY": key["secret"]}


class Etcd(Cluster):
    name = "etcd"

    def __init__(self, folder):
        super().__init__(folder)
        place = lambda n, peer: f"http://127.0.0.1:{23790 + 10 * n + peer}"
        members = ",".join(f"n{n}={place(n, 1)}" for n in range(3))
        for n in range(3):
            words = ["etcd", "--name", f"n{n}", "--data-dir", f"n{n}", "--initial-cluster", members, "--logger", "zap"]
            # It keeps every value that a key ever had, until told otherwise.
            words += ["--auto-compaction-mode", "revision", "--auto-compaction-retention", "10000", "--quota-backend-bytes", str(8 << 30)]
            words += ["--listen-client-urls", place(n, 0), "--advertise-client-urls", place(n, 0)]
            words += ["--listen-peer-urls", place(n, 1), "--initial-advertise-peer-urls", place(n, 1)]
            self.spawn(words, f"n{n}")
        self.wait(range(23790, 23820, 10))
        time.sleep(3)

    def target(self):
        return ["--etcd", ",".join(f"127.0.0.1:{23790 + 10 * n}" for n in range(3))]


class ZooKeeper(Cluster):
    name = "zookeeper"

    def __init__(self, folder):
        super().__init__(folder)
        servers = "".join(f"server.{n + 1}=127.0.0.1:{21820 + 10 * n}:{21821 + 10 * n}\n" for n in range(3))
        for n in range(3):
            data = os.path.join(folder, f"n{n}")
            os.makedirs(data)
            with open(os.path.join(data, "myid"), "w") as file:
                file.write(f"{n + 1}\n")
            settings = os.path.join(folder, f"n{n}.cfg")
            with open(settings, "w") as file:
                file.write(f"tickTime=2000\ninitLimit=10\nsyncLimit=5\nmaxClientCnxns=0\nadmin.enableServer=false\ndataDir={data}\n")
                file.write(f"clientPort={21810 + n}\n{servers}")
            main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
            self.spawn(["java", "-Xmx512m", "-cp", CLASSPATH, main, settings], f"n{n}")
        self.wait(range(21810, 21813))
        time.sleep(5)

    def target(self):
        return ["--zookeeper", ",".join(f"127.0.0.1:{21810 + n}" for n in range(3))]


class Redis(Cluster):
    name = "redis"

    def __init__(self, folder):
        super().__init__(folder)
        for n in range(3):
            os.makedirs(os.path.join(folder, f"n{n}"))
            words = ["redis-server", "--port", str(26790 + n), "--dir", os.path.join(folder, f"n{n}"), "--save", ""]
            words += ["--appendonly", "yes", "--appendfsync", "always"]
            self.spawn(words + (["--replicaof", "127.0.0.1", "26790"] if n else []), f"n{n}")
        self.wait(range(26790, 26793))
        time.sleep(3)

    def target(self):
        return ["--redis", "127.0.0.1:26790", "--redis-replicas", "2"]


class Nginx(Cluster):
    name = "nginx"
    port = 28080

    def __init__(self, folder, sizes):
        super().__init__(folder)
        os.makedirs(os.path.join(folder, "files"))
        for size in sizes:
            with open(os.path.join(folder, "files", str(size)), "wb") as file:
                file.write(os.urandom(size))
        settings = os.path.join(folder, "nginx.conf")
        with open(settings, "w") as file:
            file.write(
                f"daemon off; worker_processes auto; pid {folder}/pid; error_log {folder}/error.log;\n"
                "events { worker_connections 1024; }\n"
                f"http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;\n"
                f"  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;\n"
                f"  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;\n"
                f"  server {{ listen 127.0.0.1:{self.port}; root {folder}/files; }} }}\n"
            )
        os.chmod(folder, 0o755)
        os.chmod(os.path.dirname(folder), 0o755)
        self.spawn(["nginx", "-c", settings, "-p", folder], "nginx", env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})
        self.wait([self.port])

    def pids(self):
        workers = subprocess.run(["pgrep", "-P", str(self.children[0].pid)], capture_output=True, text=True)
        return [self.children[0].pid, *map(int, workers.stdout.split())]

    def url(self, size):
        return f"http://127.0.0.1:{self.port}/{size}"
