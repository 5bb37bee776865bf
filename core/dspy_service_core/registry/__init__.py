"""Which modules and optimizers a job may name, and what each of them takes."""
