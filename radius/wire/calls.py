"""The native kernel's functions as the packet path calls them: found once, since a look-up costs as much as a step."""

from collections.abc import Callable
from typing import Final

from radius.wire.native import Kernel, load_kernel

Found = tuple[bytes, bytes, list[int], int, bytes, bytes]


class Calls:
    """Each function of the kernel; None where there is no kernel, and Python does the same."""

    __slots__ = (
        "find_attributes",
        "kernel",
        "rewrite_request",
        "rewrite_response",
        "verify_request",
        "verify_response",
    )

    kernel: Kernel | None
    find_attributes: Callable[[bytes], Found | None] | None
    rewrite_request: Callable[[bytes, int, bytes, object, object, object, bytes, bytes], bytes | None] | None
    rewrite_response: (
        Callable[[bytes, int, bytes, bytes, object, object, object, bytes, bytes, bytes], bytes | None] | None
    )
    verify_request: Callable[[bytes, int, object], bool] | None
    verify_response: Callable[[bytes, int, object, bytes], int] | None

    def __init__(self, kernel: Kernel | None) -> None:
        """This kernel is called, if there is one."""
        self.choose(kernel)

    def choose(self, kernel: Kernel | None) -> None:
        """From now on this one is called, or none; what was prepared with another stays with Python."""
        self.kernel = kernel
        self.find_attributes = None if kernel is None else kernel.find_attributes
        self.rewrite_request = None if kernel is None else kernel.rewrite_request
        self.rewrite_response = None if kernel is None else kernel.rewrite_response
        self.verify_request = None if kernel is None else kernel.verify_request
        self.verify_response = None if kernel is None else kernel.verify_response


calls: Final = Calls(load_kernel())
"""Those of this installation; the tests choose others, to compare both."""
