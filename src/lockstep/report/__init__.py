"""Results and figures as text, JSON and HTML for people and programs; no input or output."""
