import socket

import pytest

from radius.supervisor import BoundGroup, bind_group


def close(group: BoundGroup) -> None:
    for sockets in group.by_worker:
        for item in sockets:
            item.close()


class TestBindGroup:
    def test_all_addresses_and_workers_share_one_free_port(self) -> None:
        """Port 0 takes one port for IPv4 and IPv6 and every worker."""
        group = bind_group(["127.0.0.1", "::1"], 0, kind=socket.SOCK_DGRAM, workers=3)
        assert len(group.by_worker) == 3
        ports = {item.getsockname()[1] for sockets in group.by_worker for item in sockets}
        assert ports == {group.port}
        assert [item.family for item in group.by_worker[0]] == [socket.AF_INET, socket.AF_INET6]
        close(group)

    @pytest.mark.parametrize("workers", [1, 2])
    @pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
    def test_taken_port_is_refused_by_name(self, kind: socket.SocketKind, workers: int) -> None:
        """A port that somebody has is refused, with address and port, also when workers would share it."""
        first = bind_group(["127.0.0.1"], 0, kind=kind, workers=2 if kind == socket.SOCK_DGRAM else 1)
        with pytest.raises(OSError, match=rf"127\.0\.0\.1 port {first.port}"):
            bind_group(["127.0.0.1"], first.port, kind=kind, workers=workers)
        close(first)

    def test_address_of_another_machine_is_refused(self) -> None:
        """An address that is not ours is named."""
        with pytest.raises(OSError, match=r"192\.0\.2\.1"):
            bind_group(["127.0.0.1", "192.0.2.1"], 0, kind=socket.SOCK_DGRAM)

    def test_missing_family_may_be_left_out(self) -> None:
        """Where "all addresses" is meant, a family that the machine lacks is no reason not to start."""
        group = bind_group(["127.0.0.1", "2001:db8::1"], 0, kind=socket.SOCK_DGRAM, skips_missing_families=True)
        assert len(group.by_worker[0]) == 1
        close(group)

    def test_no_address_at_all_is_refused(self) -> None:
        """A service that would listen nowhere does not start."""
        with pytest.raises(OSError, match="none of"):
            bind_group(["2001:db8::1"], 0, kind=socket.SOCK_DGRAM, skips_missing_families=True)
