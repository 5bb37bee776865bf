# shellcheck shell=bash
# shellcheck disable=SC2034  # for those who source it
# What is built and installed here, each overridable from the environment.

# The newest Kubernetes that takes cgroup v1 and containerd 1.6 without further settings (1.35 wants failCgroupV1: false,
# 1.36 drops containerd 1.x).
KUBERNETES_VERSION=${KUBERNETES_VERSION:-v1.34.4}
# The oldest that we support: the first with ValidatingAdmissionPolicy and CRD rules as we use them in v1.
OLDEST_KUBERNETES_VERSION=${OLDEST_KUBERNETES_VERSION:-v1.30.14}
# The one that kubeadm of KUBERNETES_VERSION names; older API servers take it too.
ETCD_VERSION=${ETCD_VERSION:-v3.6.5}
COREDNS_VERSION=${COREDNS_VERSION:-v1.12.4}
CRICTL_VERSION=${CRICTL_VERSION:-v1.34.0}
LOCAL_PATH_PROVISIONER_VERSION=${LOCAL_PATH_PROVISIONER_VERSION:-v0.0.30}
KIND_VERSION=${KIND_VERSION:-v0.30.0}
HELM_VERSION=${HELM_VERSION:-v3.19.5}
# An S3 server on a folder: the only one of its kind that is a Go module.
VERSITYGW_VERSION=${VERSITYGW_VERSION:-v1.8.0}
