"""People judge pictures: pages of pairs, of "real or made?" and of scales, and what the votes say.

The same guard stands in front as of the studio. Pictures are prepared before (`items`): decoded and written anew under
numbers, so that nothing but the picture says where it is from.
"""
