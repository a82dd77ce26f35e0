"""For maintainers of this package; nothing imports them."""
