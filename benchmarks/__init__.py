"""How fast bench is: against others, against the machine, and against itself.

``make bench`` runs all of it; ``python -m benchmarks --help`` says what can be chosen.
"""
