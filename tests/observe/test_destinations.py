"""Tests of L{twistedmilter.observe.destinations} and its sinks, on real files, pipes and sockets."""

from __future__ import annotations

import errno
import os
import re
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.errors import ConfigError
from twistedmilter.observe.destinations import MAX_BUFFER, RETRY_INTERVAL, Destination, Surroundings, open_destination

LINE = "x" * 999


class DestinationCase(SynchronousTestCase):
    """A directory of its own and a clock that stands still."""

    def setUp(self) -> None:
        """Make both."""
        self.clock = Clock()
        # socket addresses have at most 107 octets, trial's own directories are longer
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def open(self, text: str, *, stderr: int = 2, environ: Mapping[str, str] | None = None) -> Destination:
        """A destination whose log sockets are in the directory."""
        surroundings = Surroundings(
            self.clock,
            lambda: 0.0,
            stderr,
            environ or {},
            syslog_socket=str(self.directory / "log"),
            journal_socket=str(self.directory / "journal"),
        )
        destination = open_destination(text, base_dir=self.directory, surroundings=surroundings)
        self.addCleanup(destination.close)
        return destination

    def server(self, name: str) -> socket.socket:
        """A datagram socket in the directory, as a log service has."""
        server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(server.close)
        server.bind(str(self.directory / name))
        server.settimeout(1)
        return server

    def pipe(self) -> tuple[int, int]:
        """A pipe, both ends closed at the end."""
        ends = os.pipe()
        for end in ends:
            self.addCleanup(self.close_quietly, end)
        return ends

    def close_quietly(self, descriptor: int) -> None:
        """Close what may be closed already."""
        try:
            os.close(descriptor)
        except OSError:
            return


class FileTests(DestinationCase):
    """A path."""

    def test_a_file_is_appended_to(self) -> None:
        """What was there stays; the file is not for everybody to read."""
        path = self.directory / "a.log"
        self.open("a.log").write("one")
        self.open("a.log").write("zwei ü")
        self.assertEqual("one\nzwei ü\n", path.read_text())
        self.assertEqual(0, path.stat().st_mode & 0o007)

    def test_rotation_is_noticed_within_a_second(self) -> None:
        """Lines go to the old file until the look, then to a new one under the name."""
        destination = self.open("a.log")
        destination.write("one")
        (self.directory / "a.log").rename(self.directory / "a.log.1")
        destination.write("two")
        self.clock.advance(1)
        destination.write("three")
        self.assertEqual("one\ntwo\n", (self.directory / "a.log.1").read_text())
        self.assertEqual("three\n", (self.directory / "a.log").read_text())

    def test_reopen(self) -> None:
        """SIGUSR1 after a rotation needs no second."""
        destination = self.open("a.log")
        (self.directory / "a.log").rename(self.directory / "a.log.1")
        destination.reopen()
        destination.write("one")
        self.assertEqual("one\n", (self.directory / "a.log").read_text())

    def test_copytruncate(self) -> None:
        """V03: a file that is emptied in place is appended to from its new end."""
        destination = self.open("a.log")
        destination.write("one")
        os.truncate(self.directory / "a.log", 0)
        destination.write("two")
        self.assertEqual("two\n", (self.directory / "a.log").read_text())

    def test_a_name_that_cannot_be_opened_again(self) -> None:
        """The old file goes on, which is told once each time."""
        (self.directory / "d").mkdir()
        destination = self.open("d/a.log")
        for _ in range(2):
            (self.directory / "d").rename(self.directory / "e")
            with capturedLogs() as events:
                for line in ("one", "two"):
                    self.clock.advance(1)
                    destination.write(line)
            self.assertEqual("one\ntwo\n", (self.directory / "e" / "a.log").read_text()[-8:])
            self.assertEqual(0, destination.dropped)
            [told] = [formatEvent(event) for event in events]
            self.assertIn("d/a.log cannot be opened again: No such file or directory", told)
            (self.directory / "e").rename(self.directory / "d")
            destination.reopen()


class StreamTests(DestinationCase):
    """stderr."""

    def test_a_line(self) -> None:
        """A line has its end, and the descriptor stays the owner's."""
        reading, writing = self.pipe()
        destination = self.open("stderr", stderr=writing)
        destination.write("one")
        destination.close()
        os.write(writing, b"two\n")
        self.assertEqual(b"one\ntwo\n", os.read(reading, 100))

    def test_a_full_pipe_is_buffered_then_drops(self) -> None:
        """O5: 1 MiB waits beside what the pipe holds, more is dropped and counted, nothing blocks."""
        _, writing = self.pipe()
        destination = self.open("stderr", stderr=writing)
        for _ in range(3000):
            destination.write(LINE)
        held = 3000 - destination.dropped
        self.assertGreater(destination.dropped, 0)
        self.assertLessEqual(MAX_BUFFER // 1000, held)

    def test_the_buffer_is_written_later_in_order(self) -> None:
        """When somebody reads again, every line that was kept comes whole, without a further line."""
        reading, writing = self.pipe()
        destination = self.open("stderr", stderr=writing)
        for number in range(200):
            destination.write(f"{number:03}{LINE}")
        received = b""
        while self.clock.getDelayedCalls():
            received += os.read(reading, 1 << 20)
            self.clock.advance(RETRY_INTERVAL)
        received += os.read(reading, 1 << 20)
        self.assertEqual([f"{number:03}{LINE}" for number in range(200)], received.decode().splitlines())
        self.assertEqual(0, destination.dropped)

    def test_a_reader_that_is_gone(self) -> None:
        """O5: EPIPE costs the line and nothing else."""
        reading, writing = self.pipe()
        destination = self.open("stderr", stderr=writing)
        os.close(reading)
        destination.write("one")
        self.assertEqual(1, destination.dropped)

    def test_a_socket_as_stderr(self) -> None:
        """What systemd gives may be a stream socket: it is written to without waiting, and without SIGPIPE."""
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        self.addCleanup(ours.close)
        destination = self.open("stderr", stderr=ours.fileno())
        destination.write("one")
        self.assertEqual(b"one\n", theirs.recv(100))
        for _ in range(3000):
            destination.write(LINE)
        self.assertGreater(destination.dropped, 0)

    def test_what_waits_at_the_end_is_counted(self) -> None:
        """Lines that nobody took before the end are lost, and known to be."""
        _, writing = self.pipe()
        destination = self.open("stderr", stderr=writing)
        for _ in range(200):
            destination.write(LINE)
        destination.close()
        self.assertGreater(destination.dropped, 100)
        self.assertEqual([], self.clock.getDelayedCalls())


class DatagramTests(DestinationCase):
    """syslog and the journal."""

    def test_syslog(self) -> None:
        """RFC 3164: priority mail.info is 22, then time, our name and the process."""
        server = self.server("log")
        self.open("syslog:mail").write("one")
        self.assertRegex(
            server.recv(1000).decode(), rf"^<22>[A-Z][a-z]{{2}} [ \d]\d [\d:]{{8}} twistedmilter\[{os.getpid()}\]: one$"
        )

    def test_journal(self) -> None:
        """The native protocol has one field a line."""
        server = self.server("journal")
        self.open("journal").write("one")
        self.assertEqual(b"PRIORITY=6\nSYSLOG_IDENTIFIER=twistedmilter\nMESSAGE=one\n", server.recv(1000))

    def test_journal_by_way_of_stderr(self) -> None:
        """Without the journal's socket, systemd's stderr takes lines with their priority."""
        reading, writing = self.pipe()
        self.open("journal", stderr=writing, environ={"JOURNAL_STREAM": "8:1"}).write("one")
        self.assertEqual(b"<6>one\n", os.read(reading, 100))

    def test_a_service_that_restarted(self) -> None:
        """Lines while it is away are dropped and counted, later ones arrive."""
        server = self.server("log")
        destination = self.open("syslog:mail")
        server.close()
        (self.directory / "log").unlink()
        destination.write("one")
        self.assertEqual(1, destination.dropped)
        server = self.server("log")
        self.clock.advance(1)
        destination.write("two")
        self.assertTrue(server.recv(1000).endswith(b": two"))

    def test_a_full_socket(self) -> None:
        """O5: a service that does not read costs lines and no time."""
        self.server("log")
        destination = self.open("syslog:mail")
        for _ in range(3000):
            destination.write(LINE)
        self.assertGreater(destination.dropped, 0)


class FullDisk:
    """A file on a disk of a certain size.

    @ivar room: octets that it still takes.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        self.text = b""

    def frame(self, line: str) -> bytes:
        """A line with its end."""
        return line.encode() + b"\n"

    def send(self, octets: bytes) -> int:
        """As write(2) on a disk that fills up."""
        taken = octets[: self.room]
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= len(taken)
        self.text += taken
        return len(taken)

    def reopen(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class GapTests(DestinationCase):
    """Lines that were lost are told of once lines are taken again."""

    def test_a_full_disk(self) -> None:
        """One line says how many; a line that was cut short does not run into the next."""
        disk = FullDisk(6)
        destination = Destination(disk, self.clock)
        destination.recovered = lambda lost: destination.write(f"{lost} lost")
        for line in ("one", "two", "three"):
            destination.write(line)
        self.assertEqual((b"one\ntw", 2), (disk.text, destination.dropped))
        disk.room = 1000
        for line in ("four", "five"):
            destination.write(line)
        self.assertEqual(b"one\ntw\nfour\n2 lost\nfive\n", disk.text)

    def test_a_reader_that_slept(self) -> None:
        """When a full pipe is read again, the gap is told behind what was kept."""
        told: list[int] = []
        reading, writing = self.pipe()
        os.set_blocking(reading, False)
        destination = self.open("stderr", stderr=writing)
        destination.recovered = told.append
        for _ in range(2 * MAX_BUFFER // len(LINE)):
            destination.write(LINE)
        self.assertEqual([], told)
        while self.clock.getDelayedCalls():
            os.read(reading, 65536)
            self.clock.advance(RETRY_INTERVAL)
        self.assertEqual([destination.dropped], told)


class ErrorTests(DestinationCase):
    """What cannot be opened is said at start, by its key."""

    def test_every_problem_is_of_log_to(self) -> None:
        """An unknown facility, a directory that is not there, a service that is not there, no path."""
        for text, wrong in (
            ("syslog:kitchen", "'kitchen' is not a syslog facility"),
            ("syslog", "'' is not a syslog facility"),
            ("syslog:mail", "'syslog:mail' cannot be opened: No such file or directory"),
            ("journal", "'journal' cannot be opened: No such file or directory"),
            ("no/such/directory/a.log", "cannot be opened: No such file or directory"),
            ("", "'' is not a path"),
        ):
            error = self.assertRaises(ConfigError, self.open, text)
            self.assertRegex(str(error), rf"log\.to: .*{re.escape(wrong)}")
