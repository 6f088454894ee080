"""New keys have the form that the contract asks for, and what is stored accepts them."""

from __future__ import annotations

import hashlib
import re

from otelbridge.store import new_gateway_key, new_key


def test_a_users_key_is_ten_and_twenty_two_letters_and_digits() -> None:
    key = new_key()

    assert re.fullmatch(r"[A-Za-z0-9]{10}-[A-Za-z0-9]{22}", key.key.reveal())
    assert key.key.reveal().startswith(f"{key.id}-")


def test_a_gateways_key_is_43_url_safe_characters() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", new_gateway_key().key.reveal())


def test_what_is_stored_is_the_hash_of_the_secret_part_or_of_the_whole_gateway_key() -> None:
    key, gateway = new_key(), new_gateway_key()
    secret = key.key.reveal().partition("-")[2]

    assert key.secret_sha256 == hashlib.sha256(secret.encode()).hexdigest()
    assert gateway.key_sha256 == hashlib.sha256(gateway.key.reveal().encode()).hexdigest()


def test_keys_are_not_drawn_twice_nor_shown() -> None:
    keys = [new_key() for _ in range(100)]

    assert len({key.id for key in keys} | {key.key.reveal()[11:] for key in keys}) == 200
    assert not any(key.key.reveal()[11:] in repr(key) for key in keys)
    assert len({new_gateway_key().key.reveal() for _ in range(100)}) == 100
