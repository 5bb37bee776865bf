"""Who may call: one authenticator for each mode (`DSPY_SERVICE_AUTH_MODE`). `middleware/access_control.py` asks it
before anything else of a request is read.

NoAuthentication         none        whoever reaches the address
TokenAuthenticator       token       whoever has the service's one token
KubernetesAuthenticator  kubernetes  whom the cluster knows (TokenReview) and RBAC allows it (SubjectAccessReview)
"""
