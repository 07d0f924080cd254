"""A real systemd as the first process of namespaces of its own, on a host of the test's network, with what `make install`
puts into /usr/local, the journal, and nothing else. What it changes (/etc, /run, /tmp, /var/lib, /var/log) are copies that
go with it. Needs root and cgroup v2."""
import os
import shutil
import subprocess
import time

import harness
import network

SYSTEMD = "/lib/systemd/systemd"
UNITS = "/run/units"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
JOURNAL = ("systemd-journald.service", "systemd-journald.socket")
# What units are ordered by, without what a whole machine has below.
TARGETS = ("test", "basic", "sysinit", "sockets", "shutdown", "umount", "network-online", "multi-user")

BOOT = f"""
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,ro,bind /proc/sys
mount -t tmpfs tmpfs /run
cp -a "$1" {UNITS}
mount -t tmpfs -o mode=755 tmpfs /usr/local
cp -a "$2/." /usr/local
cp -a /etc /run/etc
mount --bind /run/etc /etc
rm -rf /etc/tiercast /etc/systemd/system
mkdir /etc/systemd/system
if [ -n "$3" ]; then cp -a "$3" /etc/tiercast; chown -R root:root /etc/tiercast; fi
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=1777 tmpfs /var/tmp
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /var/log
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /run/dev
mount -t tmpfs -o mode=755 tmpfs /run/dev
for node in null zero full random urandom tty; do touch /run/dev/$node; mount --bind /dev/$node /run/dev/$node; done
mkdir /run/dev/net
mknod -m 666 /run/dev/net/tun c 10 200   # as udev has it
mkdir /run/dev/pts /run/dev/shm /run/dev/mqueue
mount -t devpts -o newinstance,ptmxmode=0666 devpts /run/dev/pts
ln -s pts/ptmx /run/dev/ptmx
ln -s /proc/self/fd /run/dev/fd
mount --rbind /run/dev /dev
mount --make-rshared /
exec env -i container=test PATH={PATH} \\
  SYSTEMD_UNIT_PATH=/etc/systemd/system:{UNITS}:/usr/local/lib/systemd/system \\
  {SYSTEMD} --system --unit=test.target --log-target=console --show-status=no
"""


class ServiceManager(harness.Process):
    """`etc`: a directory that is /etc/tiercast there; without it there is none."""

    def __init__(self, t, host, etc=""):
        super().__init__(t, host, f"systemd-{host.name}")
        self.etc, self.init, self.cgroup = etc, None, None
        self.units = os.path.join(t.dir, "units")
        if os.path.exists(self.units):
            return
        os.makedirs(self.units)
        for target in TARGETS:
            with open(os.path.join(self.units, f"{target}.target"), "w", encoding="utf-8") as file:
                file.write(f"[Unit]\nDescription={target}\nDefaultDependencies=no\n"
                           + (f"Wants={' '.join(JOURNAL)}\n" if target == "test" else ""))
        for unit in JOURNAL:
            shutil.copy(f"/lib/systemd/system/{unit}", self.units)

    def why_not(self):
        """Starts it; why that cannot be done here, empty if it runs."""
        with open("/proc/mounts", encoding="utf-8") as mounts:
            cgroups = [line.split()[1] for line in mounts if line.split()[2] == "cgroup2"]
        if not cgroups or not os.path.exists(SYSTEMD):
            return "no systemd" if cgroups else "no cgroup v2"
        self.cgroup = os.path.join(cgroups[0], f"{network.PREFIX}{os.getpid()}-{self.host.name}")
        try:
            os.mkdir(self.cgroup)
        except OSError as error:
            return f"no cgroup can be made: {error}"
        enter = 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"'
        boot = ["unshare", "--cgroup", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "sh", "-c", BOOT, "sh",
                self.units, os.path.join(self.t.installed(), "usr/local"), self.etc]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(["sh", "-c", enter, "sh", self.cgroup, "nsenter",
                                             f"--net=/run/netns/{self.host.namespace}", *boot], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, preexec_fn=network.die_with_parent)
        deadline = time.monotonic() + 20
        while self.alive and time.monotonic() < deadline:
            time.sleep(0.1)
            with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="utf-8") as file:
                children = file.read().split()
            if children:
                self.init = children[0]
                if self.ask("systemctl", "is-active", "test.target").stdout.strip() == "active":
                    return ""
        return f"systemd does not come up: {self.log().strip().splitlines()[-3:]}"

    def command(self, command):
        return ["nsenter", "-t", self.init, "-m", "-p", "-n", *command]

    def popen(self, command, **options):
        return subprocess.Popen(self.command(command), preexec_fn=network.die_with_parent, **options)

    def ask(self, *command, **options):
        """Runs a command in there."""
        return subprocess.run(self.command(command), capture_output=True, text=True, **options)

    def systemctl(self, *words):
        done = self.ask("systemctl", *words)
        harness.check(done.returncode == 0, f"systemctl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def properties(self, unit, *names):
        lines = self.systemctl("show", unit, *[f"--property={name}" for name in names]).splitlines()
        found = dict(line.split("=", 1) for line in lines)
        return [found[name] for name in names]

    def drop_in(self, unit, text):
        harness.equal(self.ask("sh", "-c", f"mkdir -p {UNITS}/{unit}.d && cat > {UNITS}/{unit}.d/listen.conf",
                               input=text).returncode, 0, f"the drop-in of {unit}")
        self.systemctl("daemon-reload")

    def cleanup(self):
        super().cleanup()
        if not self.cgroup:
            return
        deadline = time.monotonic() + 5
        while os.path.exists(self.cgroup) and time.monotonic() < deadline:
            for folder, _, _ in os.walk(self.cgroup, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    time.sleep(0.1)  # its processes are still going
