"""The server of the page: who may ask it, what the browser may ask, and when what is old is deleted."""

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import gradio as gr
import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import FileResponse, PlainTextResponse
from starlette.middleware.base import RequestResponseEndpoint
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request

from personality.app.page import Page, too_old
from personality.app.scoring import MEGABYTE
from personality.app.store import Store

log = logging.getLogger(__name__)

STYLE = Path(__file__).with_name("page.css")
POLICY = "; ".join([
    "default-src 'self'",
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "media-src 'self' data: blob:",
    "font-src 'self' data:",
    "worker-src 'self' blob:",
    "frame-ancestors 'self'",
    "base-uri 'self'",
    "form-action 'self'",
])  # fmt: skip
"""The browser asks no other server, whatever Gradio's page may name."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SWEEP = 30.0
"""Seconds between two looks for what is old."""


def serve(page: Page, host: str, port: int) -> None:
    """Serve a page until Ctrl-C.

    Raises:
        OSError: The port is taken, or the machine has no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise OSError(
            f"Got host={host} port={port}: {error.strerror}. Expected a port that nothing else uses, such as "
            f"port={port + 1}; is the page open already?"
        ) from error
    with listening:
        shown = f"[{host}]" if ":" in host else host
        log.info("Open http://%s:%d in a browser. Ctrl-C ends, and deletes all videos and results.", shown, port)

        async def run() -> None:
            await build_server(page, host).serve(sockets=[listening])

        anyio.run(run)


def build_server(page: Page, host: str) -> uvicorn.Server:
    """Build the server of a page within a running event loop; without one, Gradio would leave its own loops open."""
    return uvicorn.Server(
        uvicorn.Config(build_application(page, host), log_level="warning", timeout_graceful_shutdown=2)
    )


def build_application(page: Page, host: str) -> FastAPI:
    """Build the application of a page, which only answers requests that name this machine, unless it is opened."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_sweep, page.store)
            yield
            tasks.cancel_scope.cancel()

    application = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    @application.middleware("http")
    async def protect(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        if not request.url.path.startswith("/report/"):
            response.headers["Content-Security-Policy"] = POLICY
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    @application.get("/report/{key}")
    def report(key: str, download: bool = False) -> Response:
        found = page.store.report(key)
        if not found:
            return PlainTextResponse(too_old(page.store.minutes), 404)
        name = f"{Path(found.video).stem}.html"
        headers = {"Cache-Control": "no-store"}
        kind = "attachment" if download else "inline"
        return FileResponse(found.report, 200, headers, "text/html", filename=name, content_disposition_type=kind)

    if host in LOOPBACK:
        application.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "[::1]"])
    return gr.mount_gradio_app(
        application,
        page.blocks(),
        path="/",
        server_name=host,
        footer_links=[],
        run_history=False,  # the browser would keep a copy of every result
        show_error=True,
        max_file_size=int(page.limits.megabytes * MEGABYTE),
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=theme(),
        head=f"<style>{STYLE.read_text()}</style>",  # as `css`, Gradio would rewrite it and lose what is for phones
    )


async def _sweep(store: Store) -> None:
    while True:
        await anyio.to_thread.run_sync(store.sweep)
        await anyio.sleep(SWEEP)


def theme() -> gr.themes.Base:
    """Take fonts of the system, and small print that can be read on light and on dark ground."""
    base = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    small = {f"{name}{ground}": f"*neutral_{shade}" for name in ("body_text_color_subdued", "block_info_text_color")
             for ground, shade in (("", 600), ("_dark", 400))}  # fmt: skip
    return base.set(**small)
