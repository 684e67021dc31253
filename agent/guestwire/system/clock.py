"""The system's clock, the hardware clock behind it, and the time zone."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from struct import Struct

from ..errors import CommandError, InvalidArgument, Unsupported
from .root import Root
from .run import Run

log = logging.getLogger(__name__)
NANOSECONDS = 10**9
LAST_YEAR = 2069  # a hardware clock counts two digits; qemu-ga refuses what lies past it, too
RTC = "/dev/rtc0"
RTC_SET_TIME = 0x4024700A  # _IOW('p', 0x0a, struct rtc_time), linux/rtc.h
RTC_TIME = Struct("=9i")


def set_time(root: Root, run: Run, nanoseconds: int, deadline: float) -> None:
    """Set the system's clock, to nanoseconds since 1970 UTC, and the hardware clock after it.

    A guest without a hardware clock has the right time all the same, so that is no failure.
    """
    if nanoseconds < 0 or time.gmtime(nanoseconds // NANOSECONDS).tm_year > LAST_YEAR:
        raise InvalidArgument(f"Invalid time {nanoseconds}: it must be from 1970 to {LAST_YEAR}")
    root.require_live()
    try:
        time.clock_settime_ns(time.CLOCK_REALTIME, nanoseconds)
    except OSError as error:
        raise CommandError(f"Failed to set time to guest: {error.strerror}") from error
    log.info("clock set to %d ns by the host", nanoseconds)
    try:
        _store(root, run, deadline)
    except (CommandError, OSError) as error:
        log.warning("the clock is set, but not the hardware clock: %s", error)


def set_from_hardware(root: Root, run: Run, deadline: float) -> None:
    """Set the system's clock from the hardware clock."""
    root.require_live()
    hwclock = _hwclock(root)
    if hwclock:
        done = run([hwclock, "-s"], deadline=deadline)
        if done.code != 0:
            raise CommandError(f"hwclock failed to set system time to hardware clock: {done.text}")
        return
    seconds = root.read_text("/sys/class/rtc/rtc0/since_epoch", missing="").strip()
    if not seconds:
        raise Unsupported("this guest has no hardware clock")
    if _keeps_local_time(root):
        raise Unsupported("the hardware clock keeps local time, and there is no hwclock to read it")
    time.clock_settime(time.CLOCK_REALTIME, float(seconds))


def zone() -> tuple[str, int]:
    """The abbreviation and the seconds east of UTC, as they are now."""
    time.tzset()  # looks whether /etc/localtime is still the same
    now = time.localtime()
    return now.tm_zone, now.tm_gmtoff


def _store(root: Root, run: Run, deadline: float) -> None:
    hwclock = _hwclock(root)
    if hwclock:
        run([hwclock, "-w"], deadline=deadline).check()
        return
    if _keeps_local_time(root):
        raise Unsupported("it keeps local time, and there is no hwclock to set it")
    now = time.gmtime()
    fields = (now.tm_sec, now.tm_min, now.tm_hour, now.tm_mday, now.tm_mon - 1, now.tm_year - 1900)
    fd = root.open(RTC, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, RTC_SET_TIME, RTC_TIME.pack(*fields, 0, 0, 0))
    finally:
        os.close(fd)


def _hwclock(root: Root) -> str:
    """Debian 13 has it in a package that a small guest does without."""
    for path in ("/sbin/hwclock", "/usr/sbin/hwclock"):
        if root.exists(path):
            return path
    return ""


def _keeps_local_time(root: Root) -> bool:
    """The third line of /etc/adjtime, adjtime_config(5)."""
    return root.read_text("/etc/adjtime", missing="").splitlines()[2:3] == ["LOCAL"]
