"""Google's OAuth token endpoint and Android Publisher v3: https://developers.google.com/android-publisher."""
