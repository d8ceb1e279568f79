"""The node's services in addition to the lifecycle ones: ``~/enable`` and ``~/reload``."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from bisenet_ros.errors import BisenetError


class Services:
    """Advertises the services of ``node``.

    Args:
        node: the owner.
        enable: called with whether to process frames; returns the response message.
        reload: reloads the weights file; returns the response message, raises BisenetError.
    """

    def __init__(
        self, node: Node, enable: Callable[[bool], str], reload: Callable[[], str]
    ) -> None:
        self._enable, self._reload = enable, reload
        node.create_service(SetBool, "~/enable", self._on_enable)
        node.create_service(Trigger, "~/reload", self._on_reload)

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success, response.message = True, self._enable(request.data)
        return response

    def _on_reload(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            response.success, response.message = True, self._reload()
        except BisenetError as error:
            response.success, response.message = False, str(error)
        return response
