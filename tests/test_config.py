"""The configuration: what files say, and what is said about files that are wrong."""

from __future__ import annotations

import pytest

from guestwire import config
from guestwire.config import Config
from guestwire.errors import ConfigError


@pytest.fixture
def write(tmp_path):
    """Write a configuration file, the main one or a drop-in, and give the main one's path."""

    def write(text, drop_in=None):
        main = tmp_path / "agent.conf"
        file = main if drop_in is None else tmp_path / "agent.conf.d" / drop_in
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return str(main)

    return write


def test_without_a_file_the_defaults_hold(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "DEFAULT_PATH", str(tmp_path / "none"))
    monkeypatch.delenv("GUESTWIRE_CONFIG", raising=False)
    loaded = config.load()
    assert loaded == Config(settings={"statedir": "/run/guestwire"})
    assert loaded.channels == config.DEFAULT_CHANNELS


def test_a_channel_names_its_dialect_or_its_port_does():
    split = config.split_channel
    assert split("unix:/a:b") == ("qga", "unix:/a:b")
    assert split("native+unix:/a+b") == ("native", "unix:/a+b")
    assert split("qga+virtio-serial:x") == ("qga", "virtio-serial:x")
    assert split("virtio-serial:org.guestwire.agent.0")[0] == "native"


def test_a_serial_line_may_have_a_speed_after_a_comma():
    line = "isa-serial:/dev/ttyS0,115200"
    assert config.channels(f"{line}, unix:/a,{line}") == (line, "unix:/a", line)


def test_what_a_file_says_holds(write):
    loaded = config.load(
        write(
            "[agent]\nchannels = unix:/a, virtio-serial:b\nlog-level = debug\nstatedir = /var/x\n"
            "[policy]\nallow = guest-ping guest-info\nblock = guest-exec\n"
            "[commands]\nfreeze-timeout = 60\n"
        )
    )
    assert loaded.channels == ("unix:/a", "virtio-serial:b")
    assert loaded.log_level == "debug"
    assert loaded.allow == {"guest-ping", "guest-info"}
    assert loaded.block == {"guest-exec"}
    assert loaded.settings == {"statedir": "/var/x", "freeze-timeout": "60"}


def test_no_allow_list_is_not_an_empty_one(write):
    assert config.load(write("[policy]\n")).allow is None
    assert config.load(write("[policy]\nallow =\n")).allow == frozenset()


def test_drop_ins_are_read_by_name_and_the_last_word_counts(write):
    main = write("[agent]\nlog-level = info\nstatedir = /a\n")
    write("[agent]\nlog-level = error\n", "20-late.conf")
    write("[agent]\nlog-level = debug\n", "10-early.conf")
    write("this is no configuration", "30-other.txt")
    loaded = config.load(main)
    assert (loaded.log_level, loaded.statedir) == ("error", "/a")


def test_a_plugin_has_a_section_with_keys_of_its_own(write):
    loaded = config.load(
        write("[agent]\nplugins = acme.guest\n[plugin acme.guest]\ncolour = red\n")
    )
    assert loaded.plugins == ("acme.guest",)
    assert loaded.settings["colour"] == "red"


BAD = [
    ("[agent]\n\n# why\nlog-lvel = info\n", r":4: \[agent\] has no key 'log-lvel'; there are chan"),
    ("[agnet]\nroot = /\n", r":1: no section is named \[agnet\]; there are agent, policy, comm"),
    ("[agent]\nlog-level = loud\n", r":2: log-level: 'loud' is none of debug, info"),
    ("[agent]\nchannels = x+unix:/a\n", r":2: channels: 'x' is no dialect; there are qga, nat"),
    ("[agent]\nroot = tmp\n", r":2: root: 'tmp' is not an absolute path"),
    ("[commands]\nfreeze-timeout = soon\n", r":2: freeze-timeout: 'soon' is not a whole number"),
    ("[commands]\nmax-processes = 0\n", r":2: max-processes: '0' is not a whole number above 0"),
    ("[commands]\nqga-version =\n", r":2: qga-version: is empty"),
    ("root = /\n", r":1: expected a section before it: there are agent, policy, commands"),
    ("[agent]\nroot = /\nroot = /\n", r":3: \[agent\] has 'root' already"),
    ("[agent]\n[policy]\n[agent]\n", r":3: there is a section \[agent\] already"),
    ("[agent]\nroot\n", r":2: expected KEY = VALUE or \[SECTION\]"),
    ("[agent]\nchannels = unix\n", r":2: channels: 'unix' is no channel: expected .*KIND:ADDR"),
    ("[agent]\nchannels = unix:\n", r":2: channels: 'unix:' is no channel"),
    ("[agent]\nroot = \xff\xfe", r"agent\.conf"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_what_is_wrong_is_named_with_file_and_line(write, text, message):
    main = write(text)
    with pytest.raises(ConfigError, match=message) as caught:
        config.load(main)
    assert str(caught.value).startswith(main)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused_by_file(write, tmp_path):
    main = write("")
    (tmp_path / "agent.conf").write_bytes(b"[agent]\nroot = /\xff\n")
    with pytest.raises(ConfigError, match=r"agent\.conf"):
        config.load(main)


def test_a_wrong_drop_in_is_the_one_that_is_named(write, tmp_path):
    main = write("[agent]\n")
    write("[agent]\nbogus = 1\n", "50-mine.conf")
    with pytest.raises(ConfigError, match=r"50-mine.conf:2: \[agent\] has no key 'bogus'"):
        config.load(main)


def test_a_file_that_was_asked_for_must_be_there(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"missing\.conf: No such file"):
        config.load(str(tmp_path / "missing.conf"))
    monkeypatch.setenv("GUESTWIRE_CONFIG", str(tmp_path / "missing.conf"))
    with pytest.raises(ConfigError, match=r"missing\.conf: No such file"):
        config.load()


def test_every_key_has_a_help_text():
    for section, keys in config.KEYS.items():
        for name, key in keys.items():
            assert key.help, f"[{section}] {name}"
