"""No password of a URL is shown."""

from __future__ import annotations

import pytest

from tvmerge._util.urls import hide_password_of, hide_passwords, shown_url

URLS = [
    "postgresql://user:secret@host/db",
    "postgresql://user@corp:secret@host/db",
    "mysql+pymysql://us er:secret word@host:3306/db",
    "postgresql://user:sec/ret:secret@host/db",
    "postgresql://:secret@host/db",
    "postgresql://user:secret%40%2F@[::1]:5432/db?sslmode=require",
    "postgresql:///db?host=h&password=secret&user=u",
    "mysql://host/db?ssl_pwd=secret",
    "postgresql://user:secret@host:port/db",
    "postgresql://user:secret@secret@host:port/db",
]


@pytest.mark.parametrize("url", URLS)
def test_no_password_is_shown(url: str) -> None:
    assert "secret" not in shown_url(url)
    assert "***" in shown_url(url)
    assert "secret" not in hide_password_of(url, f"cannot connect to {url}: refused")


@pytest.mark.parametrize(
    "url", ["sqlite:////tmp/a%20b.db", "postgresql://user@host/db", "mysql://host:1/db?a=b"]
)
def test_a_url_without_a_password_stays(url: str) -> None:
    assert shown_url(url) == hide_passwords(url) == url


def test_a_drivers_error_has_no_password() -> None:
    url = "postgresql://user:hunter%402@host/db"
    said = 'connection failed: user "user" password "hunter@2" (dsn password=hunter%402)'
    assert "hunter" not in hide_password_of(url, said)
