ARG BASE
FROM ${BASE}
COPY root/ /
# Units: what kind's base image removes, enables and masks.
RUN find /lib/systemd/system/sysinit.target.wants/ -name systemd-tmpfiles-setup.service -delete \
    && rm -f /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/* \
        /lib/systemd/system/local-fs.target.wants/* /lib/systemd/system/basic.target.wants/* \
        /lib/systemd/system/sockets.target.wants/*udev* /lib/systemd/system/sockets.target.wants/*initctl* \
    && echo ReadKMsg=no >> /etc/systemd/journald.conf \
    && ln -sf /lib/systemd/systemd /sbin/init \
    && systemctl enable kubelet.service containerd.service undo-mount-hacks.service \
    && systemctl mask systemd-binfmt.service \
    && chmod 0755 /usr/local/bin/crictl \
    && mkdir -p /etc/kubernetes/manifests /opt/cni/bin \
    && for plugin in host-local loopback ptp portmap; do cp /usr/lib/cni/$plugin /opt/cni/bin/; done \
    && ctr oci spec \
        | jq '.hooks.createContainer += [{"path": "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' \
        > /etc/containerd/cri-base.json \
    && test -s /etc/containerd/cri-base.json && containerd --version && runc --version && kubelet --version
COPY store/ /var/lib/containerd/
ENV container=docker
STOPSIGNAL SIGRTMIN+3
ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]
