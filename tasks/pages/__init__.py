"""What all pages share: how they look, how numbers and texts are written, and that nothing in them is loaded or run."""
