"""Ports for programs that can't be told to find one themselves."""
import random
import socket


def free_ports(count):
    """That many ports on which nobody listens, each another one. None that the kernel gives to a connection, which
    could have it before the program has started."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        first_given = int(f.read().split()[0])
    ports = set()
    while len(ports) < count:
        port = random.randrange(1024, first_given)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:  # taken
                continue
        ports.add(port)
    return list(ports)
