# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which ROS domain a graph of its own gets: a free one of this machine, for as long as we live.

Demonstration, benchmarks and tests start graphs that must hear neither each other nor a robot. All
of them take their domains here.
"""

import errno
import functools
import random
import socket

#: A domain has UDP ports of its own, from 7400 + 250 x domain on. Those of domains above 101 Linux
#: gives to any program that asks for a port, so ROS 2 advises against them; 0 is the default, which
#: everybody has.
DOMAINS = range(1, 102)

#: Claims, which end with the process: however it ends, nothing is left behind.
_claims: list[socket.socket] = []


@functools.cache
def own_domain_id(name: str = '') -> int:
    """Return a ROS domain that no other process has from here; the same for the same name.

    A claim is an abstract socket, which the machine, or the container with a network of its own,
    knows once: as far as a domain reaches on it. Domains that were chosen by hand (ROS_DOMAIN_ID)
    are not seen.

    :param name: for a process with several graphs.
    :raises RuntimeError: all domains are taken.
    """
    # from anywhere, as another machine on the network does
    for domain_id in random.sample(DOMAINS, len(DOMAINS)):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f'\0pose3d_ros/domain/{domain_id}')
        except OSError as error:
            claim.close()
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        _claims.append(claim)
        return domain_id
    raise RuntimeError(
        f'all ROS domains from {DOMAINS[0]} to {DOMAINS[-1]} are taken by other processes; '
        'choose one with ROS_DOMAIN_ID'
    )
