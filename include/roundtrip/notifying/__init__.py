"""Plan 4.5: people are told what a release does: by mail, chat or pager, whatever their channel is.

`messages` is what they are told, `channels` by what, `telling` sees that each is told once; `sending` ends a channel that
hangs, and `courier` is the process that it ends. Imports `release` and below; sections and `closing` import `telling`
and `messages`.
"""
