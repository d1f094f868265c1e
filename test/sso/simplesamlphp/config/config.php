<?php
// SPDX-License-Identifier: Apache-2.0
//
// One server is many providers: the first part of the path is a tenant's name, which
// router.php has put aside, and each has an entity id of its own.
$dir = getenv('SSP_DIR');
$config = [
    // The whole address: nothing is guessed of host, port and scheme.
    'baseurlpath' => getenv('SSP_URL') . '/' . ($_SERVER['SSP_TENANT'] ?? 'none') . '/simplesaml/',
    'metadatadir' => dirname(__DIR__) . '/metadata',
    'certdir' => "$dir/",
    'loggingdir' => "$dir/",
    'datadir' => "$dir/",
    'tempdir' => "$dir/temp",
    'enable.saml20-idp' => true,
    'module.enable' => ['core' => true, 'saml' => true, 'exampleauth' => true],
    'secretsalt' => 'the salt of a test',
    'auth.adminpassword' => 'the password of a test',
    // Plain http loses the session otherwise.
    'session.cookie.secure' => false,
    'session.cookie.samesite' => null,
    'store.type' => 'phpsession',
    'session.phpsession.savepath' => "$dir/sessions",
    'logging.handler' => 'file',
    'logging.level' => 4,
    'language.available' => ['en'],
    'timezone' => 'UTC',
];
