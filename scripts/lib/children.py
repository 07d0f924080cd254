"""The processes that a script starts: only these are ever signalled, and all of them are gone when it ends, however it
ends. Knows nothing of tiercast."""
import signal
import subprocess
import time

from network import die_with_parent


class Failure(Exception):
    """What was to be done could not be done; the text says where and why. `status`: the script's exit status."""

    def __init__(self, text, status=1):
        super().__init__(text)
        self.status = status


class Interrupted(BaseException):
    """A signal that ends the script came; everything is cleared up on its way out."""

    def __init__(self, number):
        super().__init__(number)
        self.status = 128 + number


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def ignore_signals():
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)


def raise_on_signals():
    """The first one is an Interrupted; then nothing interrupts the clearing up."""
    def interrupted(number, frame):
        ignore_signals()
        raise Interrupted(number)
    for each in SIGNALS:
        signal.signal(each, interrupted)


def default_signals():
    """For Popen(preexec_fn=): what is started while the script clears up does not ignore them too."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_DFL)


class Children:
    """Each with a name and, in the folder, a log; `running` has those that nobody has ended."""

    def __init__(self, folder):
        self.folder, self.running = folder, {}

    def start(self, name, command):
        with open(self.folder / f"{name}.log", "ab") as log:
            # A session of its own: Ctrl-C comes to this process alone, which then ends the others in order.
            self.running[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                  start_new_session=True, preexec_fn=die_with_parent)
        return self.running[name]

    def kill(self, name):
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def end(self):
        """SIGKILL to all, of whom nothing more is wanted."""
        for process in self.running.values():
            process.kill()
        for process in self.running.values():
            process.wait()
        self.running.clear()

    def check(self, names):
        """Fails if one that should run has ended."""
        for name in names:
            if name in self.running and (status := self.running[name].poll()) is not None:
                raise Failure(f"{name} ended with status {status}:\n{self.last_words(name)}")

    def last_words(self, name):
        lines = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()
        return "\n".join("  " + line for line in lines[-5:])

    def stop(self, names=None):
        """SIGTERM to these or all, and SIGKILL to who has not ended then; their exit statuses."""
        ending = {name: self.running[name] for name in list(names or self.running) if name in self.running}
        for process in ending.values():
            if process.poll() is None:
                process.terminate()
                process.send_signal(signal.SIGCONT)  # one that was stopped would not take notice
        until = time.monotonic() + 5
        for name, process in ending.items():
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            del self.running[name]
        return {name: process.returncode for name, process in ending.items()}
