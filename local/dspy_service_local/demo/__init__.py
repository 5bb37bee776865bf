"""`dspy-service demo`: the whole service on one machine, from a submitted job to a verdict and a program on disk.

command.py -> task.py (what is optimized) -> service.py (`dspy-service up` as a child) -> the client's own display
              dataset.py, guess.py            model/ (the humble model, where no model is named)
"""
