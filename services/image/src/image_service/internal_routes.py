"""What other services can ask of a generation; never routed by the gateway."""

from typing import Annotated

from fastapi import Depends, Path

from common.clients.image import READ_SCOPE, GenerationDecision, GenerationNotFoundError
from common.errors import responses
from common.routing import json_router
from common.schemas import Envelope, ok
from common.service_auth import require_scope
from image_service.dependencies import ImageServiceDep

router = json_router(prefix="/internal", tags=["internal"])


@router.get(
    "/generations/{generation_id}",
    dependencies=[Depends(require_scope(READ_SCOPE))],
    responses=responses(GenerationNotFoundError),
)
async def decision(generation_id: Annotated[str, Path()], images: ImageServiceDep) -> Envelope[GenerationDecision]:
    """Tell what was decided of a generation's coins."""
    generation = await images.get_generation(generation_id)
    return ok(
        GenerationDecision(
            id=generation.id,
            user_id=generation.user_id,
            state=generation.state,
            decision=generation.decision,
            coins=generation.due_coins if generation.decision == "capture" else 0,
        )
    )
