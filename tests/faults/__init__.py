"""What must not hurt a session: each fault on the real program, and the same aftermath for all of them."""
