"""Edits of the store file, as the commands make them: in place, checked, one at a time."""

from otelbridge.store.editing.edits import Removed, StoreEdit
from otelbridge.store.editing.transaction import edit_store, view_store

__all__ = ["Removed", "StoreEdit", "edit_store", "view_store"]
