"""Who may come in: one door a mode (`DSPY_SERVICE_AUTH_MODE`), asked by `guard.py` before anything else of a request.

OpenDoor        none         whoever reaches the address
TokenDoor       token        whoever has the service's one token
KubernetesDoor  kubernetes   whom the cluster knows (TokenReview) and RBAC lets (SubjectAccessReview)
"""
