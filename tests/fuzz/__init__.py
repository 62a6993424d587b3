"""Fuzzing: what strangers send is made up, guided by coverage, and what breaks an invariant is kept for ever.

A target is one function that takes octets, and raises when something that has to hold does not. Its corpus is a folder
of small files. `make test` replays the files and some seeded mutations of them; `make fuzz` searches with atheris.
"""
