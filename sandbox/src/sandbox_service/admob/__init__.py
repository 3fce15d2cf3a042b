"""AdMob's side of rewarded ads: the key server and the signed callbacks (server-side verification)."""
