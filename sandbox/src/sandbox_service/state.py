"""Everything the sandbox remembers, in one place, bounded."""

from sandbox_service.admob.signing import AdMobSigner
from sandbox_service.calls import CallLog
from sandbox_service.clock import VendorClock
from sandbox_service.cloudinary.assets import AssetBook
from sandbox_service.deliveries import Deliveries
from sandbox_service.faults import FaultBoard
from sandbox_service.google.keys import ServiceAccountKey
from sandbox_service.google.purchases import PurchaseBook
from sandbox_service.google.pushes import PushSigner
from sandbox_service.pictures.studio import Studio
from sandbox_service.settings import Settings
from sandbox_service.stability.account import StabilityAccount
from sandbox_service.stripe.payments import PaymentBook


class Sandbox:
    """The vendors' memories and the controls over them."""

    def __init__(self, settings: Settings, studio: Studio, deliveries: Deliveries) -> None:
        self.clock = VendorClock()
        self.faults = FaultBoard()
        self.calls = CallLog()
        self.studio = studio
        self.deliveries = deliveries
        self.admob = AdMobSigner()
        self.pushes = PushSigner()
        self.settings = settings
        self.stability = StabilityAccount()
        self.payments = PaymentBook(self.clock, settings.sandbox_price_100_coins, settings.sandbox_currency)
        self.purchases = PurchaseBook(self.clock, settings.sandbox_play_product, settings.sandbox_play_one_time_product)
        self.assets = AssetBook()
        self.service_account = ServiceAccountKey(settings.sandbox_credentials_file, settings.base_url)

    def reset(self) -> None:
        """Forget everything; access tokens already issued stay good, as they are signed, not remembered."""
        self.clock.reset()
        self.faults.clear()
        self.calls.clear()
        self.stability.reset()
        self.payments.clear()
        self.purchases.clear()
        self.assets.clear()
