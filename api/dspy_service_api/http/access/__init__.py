"""Who may come in: one authenticator a mode (`DSPY_SERVICE_AUTH_MODE`), asked by `middleware/access_control.py`
before anything else of a request.

OpenDoor        none         whoever reaches the address
TokenDoor       token        whoever has the service's one token
KubernetesAuthenticator  kubernetes   whom the cluster knows (TokenReview) and RBAC lets (SubjectAccessReview)
"""
