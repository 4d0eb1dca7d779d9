"""A real print system on loopback: cupsd with Debian's own rules, and printers that are programs (ippeveprinter).

    with print_system() as system:
        printer = system.printer("sim")              # a queue "sim" of the server, and the printer behind it
        ... print to it ...
        printer.received()                           # what arrived there, byte by byte

Such a printer keeps each document and the job's settings, and then does what :meth:`SimulatedPrinter.behave` says, in
shell. Everything lies in one temporary folder, on ports that were free, and ends with the test.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

PACKAGES = "cups cups-ipp-utils cups-filters avahi-daemon dbus"
PROGRAMS = ("cupsd", "lpadmin", "ippeveprinter", "avahi-daemon", "dbus-daemon", "setpriv")
DEFAULT_RULES = Path("/usr/share/cups/cupsd.conf.default")
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
SYSTEM_BUS = Path("/run/dbus/system_bus_socket")
OUT_OF_CYAN = 'echo "ERROR: out of cyan" >&2; exit 1'
PRINTS = 'echo "ATTR: job-impressions-completed=1" >&2'
PRINTS_NOTHING = "exit 0"
OUT_OF_PAPER = """echo "STATE: +media-empty" >&2
while grep -q media-empty "${0%/*}/behave"; do sleep 0.1; done
echo "STATE: -media-empty" >&2"""

BUS = """<busconfig><listen>unix:path={bus}</listen><auth>EXTERNAL</auth><policy context="default">
<allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>"""
AVAHI = "[server]\nallow-interfaces=lo\nuse-ipv6=no\nenable-dbus=yes\n"
COMMAND = """#!/bin/sh
env | grep '^IPP_' > "{folder}/$IPP_JOB_ID.settings"
cp "$1" "{folder}/$IPP_JOB_ID.part" && mv "{folder}/$IPP_JOB_ID.part" "{folder}/$IPP_JOB_ID.pdf"
if [ -f "{folder}/behave" ]; then . "{folder}/behave"; fi
exit 0
"""
FILES = """ServerRoot {folder}/etc
CacheDir {folder}/cache
StateDir {folder}/run
RequestRoot {folder}/spool
TempDir {folder}/spool/tmp
ErrorLog {folder}/log/error
AccessLog {folder}/log/access
PageLog {folder}/log/page
"""
# A printer that knows print-scaling, two papers and several resolutions: for printing without a server.
KNOWING = """ATTR keyword print-scaling-supported auto,fit,none
ATTR keyword media-supported iso_a4_210x297mm,iso_a3_297x420mm
ATTR keyword media-ready iso_a4_210x297mm
ATTR keyword media-default iso_a4_210x297mm
ATTR resolution printer-resolution-supported 300dpi,600dpi,1200dpi,1200x600dpi
ATTR mimeMediaType document-format-supported application/octet-stream,application/pdf
ATTR keyword sides-supported one-sided,two-sided-long-edge
"""


@cache
def print_system_missing() -> str:
    """Why no print system can be started here, and what to do about it; empty when one can."""
    missing = [name for name in PROGRAMS if not shutil.which(name, path=PATH)]
    if missing or not DEFAULT_RULES.is_file():
        return f"no print system to test with ({', '.join(missing)}); on Debian: apt-get install {PACKAGES}"
    if os.geteuid() != 0:
        return "the print system of the tests is started by root only: its avahi-daemon needs /run/avahi-daemon"
    if avahi_runs() and not SYSTEM_BUS.exists():
        return "an avahi-daemon runs that cannot be reached, and there can be only one: stop it to test printing"
    return ""


@dataclass(frozen=True)
class SimulatedPrinter:
    """A running ippeveprinter that prints into ``folder``. ``kill`` switches it off."""

    uri: str
    folder: Path
    kill: Callable[[], None]

    def behave(self, script: str = PRINTS) -> None:
        """What it does with each document from now on, once it has it: one sheet, unless something else is said."""
        (self.folder / "behave").write_text(script + "\n")

    def received(self) -> list[Path]:
        """The documents, in the order in which they came."""
        return sorted(self.folder.glob("*.pdf"), key=lambda path: int(path.stem))

    def settings(self, document: Path) -> dict[str, str]:
        """The settings of a document's job, as the printer got them (``IPP_MEDIA``, …)."""
        lines = document.with_suffix(".settings").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)


@dataclass
class PrintSystem:
    """A running cupsd. ``server`` is its HOST:PORT."""

    folder: Path
    server: str
    environ: dict[str, str]
    stack: contextlib.ExitStack = field(repr=False)

    def run(self, *words: str) -> str:
        """Run one of CUPS's own commands against this server, as its administrator."""
        environ = {**self.environ, "CUPS_SERVER": str(self.folder / "cups.sock")}
        return subprocess.run(words, env=environ, check=True, capture_output=True, text=True, timeout=60).stdout

    def lone_printer(self, name: str, *options: str) -> SimulatedPrinter:
        """A printer without a queue."""
        folder = self.folder / name
        (folder / "spool").mkdir(parents=True)
        command = folder / "command"
        command.write_text(COMMAND.format(folder=folder))
        command.chmod(0o755)
        port = free_port()
        words = ["ippeveprinter", "-n", "localhost", "-p", str(port), "-r", "off", "-c", str(command)]
        words += ["-d", str(folder / "spool"), *options, name]
        kill = start(self.stack, words, self.environ, lambda: listens(port))
        made = SimulatedPrinter(f"ipp://localhost:{port}/ipp/print", folder, kill)
        made.behave()
        return made

    def printer(self, name: str) -> SimulatedPrinter:
        """A printer, and a queue for it of the same name."""
        made = self.lone_printer(name, "-f", "application/pdf")
        self.queue(name, made.uri, "everywhere")
        return made

    def knowing_printer(self, name: str) -> SimulatedPrinter:
        """A printer without a queue that can be told not to scale."""
        path = self.folder / f"{name}.conf"
        path.write_text(KNOWING)
        return self.lone_printer(name, "-a", str(path))

    def queue(self, name: str, uri: str, model: str) -> None:
        """A queue of the server."""
        self.run("lpadmin", "-p", name, "-E", "-v", uri, "-m", model)


@contextlib.contextmanager
def print_system() -> Iterator[PrintSystem]:
    """Start one; needs what :func:`print_system_missing` asks for."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dpcam-print-")))
        # CUPS runs its filters as another user.
        folder.chmod(0o755)
        for name in ("etc", "cache", "run", "spool/tmp", "log"):
            (folder / name).mkdir(parents=True)
        environ = {"PATH": PATH, "LC_ALL": "C"}
        if not avahi_runs():
            environ["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={folder / 'bus'}"
            _start_avahi(stack, folder, environ)
        yield PrintSystem(folder, _start_cups(stack, folder, environ), environ, stack)


def _start_avahi(stack: contextlib.ExitStack, folder: Path, environ: dict[str, str]) -> None:
    """ippeveprinter does not run without; this one looks at loopback alone, on a message bus of its own."""
    (folder / "bus.conf").write_text(BUS.format(bus=folder / "bus"))
    (folder / "avahi.conf").write_text(AVAHI)
    start(
        stack,
        ["dbus-daemon", f"--config-file={folder / 'bus.conf'}", "--nofork", "--nopidfile"],
        environ,
        (folder / "bus").exists,
    )
    words = ["avahi-daemon", "-f", str(folder / "avahi.conf"), "--no-drop-root", "--no-chroot", "--no-rlimits"]
    start(stack, words, environ, avahi_runs)


def _start_cups(stack: contextlib.ExitStack, folder: Path, environ: dict[str, str]) -> str:
    port = free_port()
    (folder / "etc" / "cups-files.conf").write_text(FILES.format(folder=folder))
    changed = ("Listen", "Browsing", "WebInterface", "IdleExitTimeout")
    rules = [line for line in DEFAULT_RULES.read_text().splitlines() if not line.startswith(changed)]
    head = [f"Listen 127.0.0.1:{port}", f"Listen {folder / 'cups.sock'}", "Browsing No", "WebInterface No"]
    (folder / "etc" / "cupsd.conf").write_text("\n".join([*head, *rules, ""]))
    words = ["-c", str(folder / "etc" / "cupsd.conf"), "-s", str(folder / "etc" / "cups-files.conf")]
    start(stack, ["cupsd", "-f", *words], environ, lambda: listens(port))
    return f"127.0.0.1:{port}"


def start(
    stack: contextlib.ExitStack, words: list[str], environ: dict[str, str], ready: Callable[[], object]
) -> Callable[[], None]:
    """Start a program that ends when the stack does, or when these tests are killed; gives what ends it at once."""
    log = stack.enter_context(tempfile.TemporaryFile("w+"))  # noqa: SIM115
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", *words],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )

    def end() -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)

    stack.callback(end)
    try:
        wait_for(lambda: process.poll() is not None or ready(), words[0])
        assert process.poll() is None, f"{words[0]} has ended"
    except (TimeoutError, AssertionError) as error:
        log.seek(0)
        error.add_note(log.read()[-3000:])
        raise
    return end


def avahi_runs() -> bool:
    """Whether there is an avahi-daemon; there can be one."""
    return subprocess.run(["avahi-daemon", "--check"], env={"PATH": PATH}, check=False).returncode == 0


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody does."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def wait_for(true: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Wait until something is so."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise TimeoutError(f"{what} has not started in {seconds:g} s")
        time.sleep(0.02)
