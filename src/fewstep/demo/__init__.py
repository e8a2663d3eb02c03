"""The demonstration in a browser: pictures come in, probabilities by inner steps go out (internal).

It loads no run: whoever serves it hands in the starts.
"""
