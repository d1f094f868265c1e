<?php
// SPDX-License-Identifier: Apache-2.0
$metadata = json_decode(file_get_contents(getenv('SSP_DIR') . '/sps.json'), true);
