# SPDX-License-Identifier: BSD-3-Clause
"""What is asked? Arguments, checked once and put into the form every engine takes.

The fast paths and the reference both start here, so they accept the same input and raise the same errors.
"""
