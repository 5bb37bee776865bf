"""A Job controller and a kubelet in one process: what makes pods of Job objects, and processes of pods.

job_controller -> jobs (pure) -> a pod -> node -> pods -> volumes, environment -> containers -> sandbox, processes
                                                                    warm (processes that have dspy imported)
"""
