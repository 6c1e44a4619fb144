//! What only the whole platform can show; all of it is in `tests/`.
