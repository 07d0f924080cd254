"""Two network namespaces and one cable: who sends, and a far end that drops and counts below the network stack."""
import json
import pathlib
import subprocess

from network import Host, make_namespace, remove_own, run

HERE = pathlib.Path(__file__).resolve().parent
DESTINATIONS = "11.0.0.0/8"  # all of them behind the far end


class Wire:
    """`sender` has out0, 10.77.0.1; `sink` has in0, 10.77.0.2, with the program attached natively. `threaded`: in0
    receives in a kernel thread; else whoever sends does that work too, in the same call."""

    def __init__(self, folder, threaded=False):
        program = pathlib.Path(folder) / "sink.bpf.o"
        triplet = run("gcc", "-print-multiarch").strip()
        run("clang", "-O2", "-g", "-Wall", "-target", "bpf", "-idirafter", f"/usr/include/{triplet}", "-c", "-o",
            str(program), str(HERE / "sink.bpf.c"))
        self.sender, self.sink = (Host(make_namespace(name), name, number)
                                  for number, name in enumerate(("sender", "sink"), 1))
        for host in (self.sender, self.sink):
            host.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        run("ip", "-n", self.sender.namespace, "link", "add", "out0", "type", "veth", "peer", "name", "in0", "netns",
            self.sink.namespace)
        for host, interface in ((self.sender, "out0"), (self.sink, "in0")):
            run("ip", "-n", host.namespace, "addr", "add", f"{host.v4}/24", "dev", interface)
        run("ip", "-n", self.sink.namespace, "link", "set", "dev", "in0", "xdpdrv", "obj", str(program), "sec", "xdp")
        for host, interface in ((self.sender, "out0"), (self.sink, "in0")):
            run("ip", "-n", host.namespace, "link", "set", interface, "up")
        link = self._link()
        run("ip", "-n", self.sender.namespace, "neigh", "replace", self.sink.v4, "lladdr", link["address"], "dev",
            "out0", "nud", "permanent")
        run("ip", "-n", self.sender.namespace, "route", "add", DESTINATIONS, "via", self.sink.v4)
        if threaded:
            self.sink.run("sh", "-c", "echo 1 > /sys/class/net/in0/threaded")
        attached = json.loads(run("bpftool", "-j", "prog", "show", "id", str(link["xdp"]["prog"]["id"])))
        self._map = str(attached["map_ids"][0])

    def _link(self):
        return json.loads(run("ip", "-j", "-n", self.sink.namespace, "link", "show", "in0"))[0]

    def delivered(self):
        """Datagrams that the far end has dropped so far."""
        entries = json.loads(run("bpftool", "-j", "map", "dump", "id", self._map))
        return sum(each["value"] for each in entries[0]["formatted"]["values"])

    @staticmethod
    def close():
        remove_own()


def installed(*programs):
    """Which of them are not."""
    return [name for name in programs if subprocess.run(["which", name], capture_output=True).returncode != 0]
