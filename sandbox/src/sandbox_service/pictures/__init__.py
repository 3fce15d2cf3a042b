"""Pictures from a prompt, a style and a seed, drawn with NumPy and Pillow: the same three, the same bytes."""
